import { deflateRawSync, deflateSync } from 'node:zlib'
import { jpeg, office, pdf, zip, type SampleFile, type ZipEntry } from './sample-files.ts'

/** Files that are made to harm whoever opens, unpacks, decodes or shows them. */

/** The test file that every scanner knows (EICAR), put together here so that none finds it in ours. */
export function eicar(name = 'eicar.txt'): SampleFile {
  const text = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-', 'ANTIVIRUS-TEST-FILE!$H+H*']
  return { name, type: 'text/plain', bytes: Buffer.from(text.join('')) }
}

/** What a browser would show or run, or a machine would start, each under its own name and type. */
export const activeFiles: readonly SampleFile[] = [
  file('image.svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
  file('page.html', 'text/html', '<!doctype html><script>alert(1)</script>'),
  file('page.htm', 'text/html', '  <body onload=alert(1)>'),
  file(
    'page.xhtml',
    'application/xhtml+xml',
    '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>',
  ),
  file('data.xml', 'application/xml', '<?xml version="1.0"?><a xmlns="x"><b/></a>'),
  file('sheet.xsl', 'text/xsl', '<?xml-stylesheet href="evil.xsl"?><x/>'),
  file('script.js', 'text/javascript', 'alert(document.cookie)'),
  file('script.mjs', 'application/javascript', 'export default alert(1)'),
  file(
    'page.mhtml',
    'multipart/related',
    'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="b"\r\n\r\n--b\r\n' +
      'Content-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n',
  ),
  file('page.php', 'application/x-httpd-php', '<?php system($_GET["c"]);'),
  file('run.sh', 'application/x-sh', '#!/bin/sh\nrm -rf /'),
  file('run.bat', 'application/x-bat', '@echo off\r\ndel /q *'),
  file('app.hta', 'application/hta', '<HTA:APPLICATION><script>1</script>'),
  file(
    'program.exe',
    'application/x-msdownload',
    Buffer.from('4d5a90000300000004000000ffff', 'hex'),
  ),
  file('program', 'application/x-executable', Buffer.from('7f454c4602010100', 'hex')),
  file('archive.zip', 'application/zip', zip([{ name: 'a.txt', bytes: Buffer.from('a') }])),
  file('applet.jar', 'application/java-archive', zip([{ name: 'META-INF/MANIFEST.MF' }])),
  file('letter.rtf', 'application/rtf', '{\\rtf1\\ansi{\\object\\objocx}}'),
  file('link.url', 'application/x-url', '[InternetShortcut]\r\nURL=file://evil/share'),
  file('film.swf', 'application/x-shockwave-flash', Buffer.from('465753064b00000078', 'hex')),
  file('old.doc', 'application/msword', Buffer.from('d0cf11e0a1b11ae1000000000000', 'hex')),
]

/** Two kinds of file in the same bytes. */
export const polyglots: readonly (SampleFile & { readonly also: string })[] = [
  polyglot('PDF and ZIP', pdf('two.pdf'), zip([{ name: 'evil.js', bytes: Buffer.from('1') }])),
  polyglot('JPEG and ZIP', jpeg('two.jpg'), zip([{ name: 'evil.js', bytes: Buffer.from('1') }])),
  polyglot('PDF and DOCX', pdf('two.docx'), office('docx').bytes),
  polyglot('PDF and HTML', pdf('two.pdf'), '<script>alert(1)</script></html>'),
  polyglot('JPEG and HTML', jpeg('two.jpg'), '<html><script>alert(1)</script></html>'),
  polyglot(
    'GIF and JavaScript',
    file('two.gif', 'image/gif', Buffer.from('4749463839612f2a0000', 'hex')),
    '*/=1;alert(1)',
  ),
  polyglot(
    'GIF and JavaScript as PNG',
    file('two.png', 'image/png', Buffer.from('4749463839612f2a0000', 'hex')),
    '*/=1;alert(1)',
  ),
  polyglot('HTML and PDF', file('two.pdf', 'application/pdf', '<html>'), pdf().bytes),
  polyglot('a script for a shell and text', file('two.txt', 'text/plain', '#!/bin/sh\n'), 'id'),
]

const vbaProject = 'application/vnd.ms-office.vbaProject'

/** Office files with something in them that runs, in the ways to hide it. */
export const macroFiles: readonly SampleFile[] = [
  office('docx', {
    name: 'macro.docm',
    mainType: 'application/vnd.ms-word.document.macroEnabled.main+xml',
  }),
  office('docx', { mainType: 'application/vnd.ms-word.document.macroEnabled.main+xml' }),
  office('xlsx', { mainType: 'application/vnd.ms-excel.sheet.macroEnabled.main+xml' }),
  office('pptx', { mainType: 'application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml' }),
  office('docx', { more: [{ name: 'word/vbaProject.bin', bytes: Buffer.from('x') }] }),
  office('docx', { more: [{ name: 'WORD/VBAPROJECT.BIN', bytes: Buffer.from('x') }] }),
  office('xlsx', { more: [{ name: 'xl/macrosheets/sheet1.xml', bytes: Buffer.from('<x/>') }] }),
  office('docx', { more: [{ name: 'word/activeX/activeX1.bin', bytes: Buffer.from('x') }] }),
  office('docx', { more: [{ name: 'word/embeddings/run.exe', bytes: Buffer.from('MZ') }] }),
  officeWithTypes('docx', `<Override PartName="/word/picture1.bin" ContentType="${vbaProject}"/>`),
]

/** Archives that unpack to more than anybody has, or to somewhere else. */
export function bombs(): readonly SampleFile[] {
  const layer = (inner: Buffer): Buffer => deflated([{ name: 'inner.zip', bytes: inner }])
  const core = deflated([{ name: 'zeros', bytes: Buffer.alloc(8 * 1024 * 1024) }])
  return [
    office('docx', { more: [{ name: 'word/huge.xml', claimedSize: 0xffff_fff0 }] }),
    office('docx', {
      more: Array.from({ length: 20_000 }, (_, at) => ({ name: `word/media/${at}.png` })),
    }),
    office('docx', { more: [{ name: '../../etc/cron.d/evil' }] }),
    office('docx', { more: [{ name: '/etc/passwd' }] }),
    office('docx', { more: [{ name: 'C:\\Windows\\evil.ini' }] }),
    office('docx', { more: [{ name: 'word\\..\\..\\evil' }] }),
    office('docx', {
      more: [{ name: 'word/link', bytes: Buffer.from('/etc/passwd'), unixMode: 0o120777 }],
    }),
    { ...office('docx'), bytes: layer(layer(layer(core))) },
    overlapping(),
    withHugeList(),
    officeWithTypes('docx', '', '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    officeWithTypes('docx', '&z;', billionLaughs),
  ]
}

/** What is taken although it would harm whoever decodes it: Bureau does not. */
export function floods(): readonly SampleFile[] {
  return [
    pngOfSize(60_000, 60_000),
    jpegOfSize(65_535, 65_535),
    office('docx', {
      more: [{ name: 'word/settings.xml', bytes: Buffer.from(`${billionLaughs}<x>&z;</x>`) }],
    }),
    office('docx', { more: [deflatedEntry('word/zeros.xml', Buffer.alloc(16 * 1024 * 1024))] }),
  ]
}

const billionLaughs = `<!DOCTYPE z [<!ENTITY a "ha">${Array.from(
  'bcdefghijklmnopqrstuvwxyz',
  (name, at) => {
    const before = String.fromCodePoint('a'.charCodeAt(0) + at)
    return `<!ENTITY ${name} "${`&${before};`.repeat(10)}">`
  },
).join('')}]>`

function file(name: string, type: string, content: string | Buffer): SampleFile {
  return { name, type, bytes: Buffer.from(content) }
}

function polyglot(also: string, { name, type, bytes }: SampleFile, more: string | Buffer) {
  return { also, name, type, bytes: Buffer.concat([bytes, Buffer.from(more)]) }
}

/** An office file whose list of types says something more. */
function officeWithTypes(kind: 'docx', more: string, before = ''): SampleFile {
  const { name, type } = office(kind)
  const types =
    `<?xml version="1.0"?>${before}<Types><Override PartName="/word/document.xml" ` +
    `ContentType="${type}.main+xml"/>${more}</Types>`
  const entries = [
    { name: '[Content_Types].xml', bytes: Buffer.from(types) },
    { name: 'word/document.xml', bytes: Buffer.from('<document/>') },
    { name: 'word/picture1.bin', bytes: Buffer.from('x') },
  ]
  return { name, type, bytes: zip(entries) }
}

/** Its list of types is small when packed, and says that it stays so. */
function withHugeList(): SampleFile {
  const { name, type } = office('docx')
  const list = deflatedEntry('[Content_Types].xml', Buffer.alloc(64 * 1024 * 1024, ' '))
  const bytes = zip([{ ...list, claimedSize: 1000 }, { name: 'word/document.xml' }])
  return { name, type, bytes }
}

/** Many entries that are the same few bytes: what quotes a file of 42 KB to petabytes. */
function overlapping(): SampleFile {
  const { name, type, bytes } = office('docx', {
    more: [{ name: 'word/kernel', bytes: Buffer.alloc(100_000) }],
  })
  const at = bytes.lastIndexOf(Buffer.from('504b0102', 'hex'))
  const end = bytes.length - 22
  const entry = bytes.subarray(at, end)
  const copies = Array.from({ length: 1000 }, (_, number) => {
    const copy = Buffer.from(entry)
    copy.write(`word/k${String(number).padStart(5, '0')}`, 46, 'latin1')
    return copy
  })
  const tail = Buffer.from(bytes.subarray(end))
  const count = tail.readUInt16LE(10) + copies.length
  tail.writeUInt16LE(count, 8)
  tail.writeUInt16LE(count, 10)
  tail.writeUInt32LE(tail.readUInt32LE(12) + entry.length * copies.length, 12)
  return { name, type, bytes: Buffer.concat([bytes.subarray(0, end), ...copies, tail]) }
}

function deflated(entries: readonly ZipEntry[]): Buffer {
  return zip(entries.map(({ name, bytes = Buffer.alloc(0) }) => deflatedEntry(name, bytes)))
}

function deflatedEntry(name: string, bytes: Buffer): ZipEntry {
  return { name, bytes: deflateRawSync(bytes), claimedSize: bytes.length, method: 8 }
}

function pngOfSize(width: number, height: number): SampleFile {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 6], 8)
  const chunk = (kind: string, bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, Buffer.from(kind), bytes, Buffer.alloc(4)])
  }
  const pixels = deflateSync(Buffer.alloc(4 * 1024 * 1024))
  const bytes = Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ])
  return { name: 'flood.png', type: 'image/png', bytes }
}

function jpegOfSize(width: number, height: number): SampleFile {
  const frame = Buffer.from('ffc0001108000000000301220002110103110100', 'hex')
  frame.writeUInt16BE(height, 5)
  frame.writeUInt16BE(width, 7)
  const { bytes } = jpeg()
  const flood = Buffer.concat([bytes.subarray(0, 20), frame, bytes.subarray(20)])
  return { name: 'flood.jpg', type: 'image/jpeg', bytes: flood }
}
