/** A file as a browser would send it. */
export interface SampleFile {
  readonly name: string
  readonly type: string
  readonly bytes: Buffer
}

export function pdf(name = 'passport.pdf', text = 'A passport'): SampleFile {
  const bytes = Buffer.from(`%PDF-1.7\n1 0 obj\n<< /Title (${text}) >>\nendobj\n%%EOF\n`)
  return { name, type: 'application/pdf', bytes }
}

/** A PDF of exactly so many bytes. */
export function pdfOfSize(size: number, name = 'scan.pdf'): SampleFile {
  const [head, tail] = [Buffer.from('%PDF-1.7\n%'), Buffer.from('\n%%EOF\n')]
  const bytes = Buffer.alloc(size, 'x')
  head.copy(bytes)
  tail.copy(bytes, size - tail.length)
  return { name, type: 'application/pdf', bytes }
}

const onePixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

export function png(name = 'photo.png'): SampleFile {
  return { name, type: 'image/png', bytes: Buffer.from(onePixel, 'base64') }
}

export function jpeg(name = 'photo.jpg'): SampleFile {
  const start = Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex')
  const bytes = Buffer.concat([start, Buffer.alloc(64), Buffer.from('ffd9', 'hex')])
  return { name, type: 'image/jpeg', bytes }
}

export function webp(name = 'photo.webp'): SampleFile {
  const bytes = Buffer.concat([
    Buffer.from('RIFF'),
    Buffer.from('24000000', 'hex'),
    Buffer.from('WEBPVP8 '),
    Buffer.alloc(24),
  ])
  return { name, type: 'image/webp', bytes }
}

export function heic(name = 'photo.heic'): SampleFile {
  const bytes = Buffer.concat([
    Buffer.from('00000018', 'hex'),
    Buffer.from('ftypheic'),
    Buffer.alloc(4),
    Buffer.from('mif1heic'),
    Buffer.alloc(64),
  ])
  return { name, type: 'image/heic', bytes }
}

export function text(name = 'notes.txt', content = 'Dear all,\n\tGrüße ✓\r\n'): SampleFile {
  return {
    name,
    type: name.endsWith('.csv') ? 'text/csv' : 'text/plain',
    bytes: Buffer.from(content),
  }
}

const openXml = 'application/vnd.openxmlformats-officedocument'

const officeKinds = {
  docx: { part: 'word/document.xml', type: `${openXml}.wordprocessingml.document` },
  xlsx: { part: 'xl/workbook.xml', type: `${openXml}.spreadsheetml.sheet` },
  pptx: { part: 'ppt/presentation.xml', type: `${openXml}.presentationml.presentation` },
} as const

export interface OfficeOptions {
  readonly name?: string
  /** Instead of the type of a file without macros. */
  readonly mainType?: string
  readonly more?: readonly ZipEntry[]
}

export function office(
  kind: keyof typeof officeKinds,
  { name = `file.${kind}`, mainType, more = [] }: OfficeOptions = {},
): SampleFile {
  const { part, type } = officeKinds[kind]
  const types =
    '<?xml version="1.0" encoding="UTF-8"?><Types><Override PartName="/' +
    `${part}" ContentType="${mainType ?? `${type}.main+xml`}"/></Types>`
  const bytes = zip([
    { name: '[Content_Types].xml', bytes: Buffer.from(types) },
    { name: '_rels/.rels', bytes: Buffer.from('<Relationships/>') },
    { name: part, bytes: Buffer.from('<document/>') },
    ...more,
  ])
  return { name, type, bytes }
}

export interface ZipEntry {
  readonly name: string
  readonly bytes?: Buffer
  /** What the directory says of its size, true or not. */
  readonly claimedSize?: number
  readonly unixMode?: number
  /** 8 where the bytes are deflated already; otherwise they are stored as they are. */
  readonly method?: 8
}

/** An archive of these entries, in their order. */
export function zip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, bytes = Buffer.alloc(0), claimedSize, unixMode = 0, method = 0 } of entries) {
    const title = Buffer.from(name)
    const about = Buffer.alloc(26)
    about.writeUInt16LE(20, 0)
    about.writeUInt16LE(method, 4)
    about.writeUInt32LE(bytes.length, 14)
    about.writeUInt32LE(claimedSize ?? bytes.length, 18)
    about.writeUInt16LE(title.length, 22)
    parts.push(Buffer.from('504b0304', 'hex'), about, title, bytes)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(0x0314, 4)
    about.copy(entry, 6, 0, 24)
    entry.writeUInt32LE((unixMode << 16) >>> 0, 38)
    entry.writeUInt32LE(offset, 42)
    directory.push(entry, title)
    offset += 30 + title.length + bytes.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, listed, end])
}
