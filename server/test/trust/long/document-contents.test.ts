import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { keyPattern } from '../../../src/kernel/id.ts'
import { identifyFile, fileKinds, type FileKind } from '../../../src/platform/file-type.ts'
import { startTestApp, type Reply, type TestApp } from '../../support/app.ts'
import { startClamd, type Clamd } from '../../support/clamd.ts'
import {
  activeFiles,
  bombs,
  eicar,
  floods,
  macroFiles,
  polyglots,
} from '../../support/hostile-files.ts'
import {
  heic,
  jpeg,
  office,
  pdf,
  png,
  text,
  webp,
  type SampleFile,
} from '../../support/sample-files.ts'
import { download, filesIn, upload, uploadPart } from '../../support/upload.ts'
import { promise } from '../promise.ts'

let app: TestApp
let clamd: Clamd
/** The same business, where uploads have to pass a scanner. */
let scanning: TestApp
let token: string

beforeAll(async () => {
  clamd = await startClamd()
  const maxBytes = 25 * 1024 * 1024
  const uploads = { maxBytes, customerQuotaBytes: 1e9, storageQuotaBytes: undefined }
  app = await startTestApp({ business: { uploads } })
  scanning = await startTestApp({ clamdUrl: clamd.url })
  token = (await app.asCustomer('ada')).token
})
afterAll(async () => {
  await scanning.close()
  await app.close()
  await clamd.close()
})

interface Kind {
  readonly file: SampleFile
  readonly extensions: readonly string[]
  /** What a browser may call it. */
  readonly types: readonly string[]
}

/** What is taken, written down from the contract and not from the code. */
const kinds: Readonly<Record<FileKind, Kind>> = {
  pdf: { file: pdf(), extensions: ['pdf'], types: ['application/pdf'] },
  png: { file: png(), extensions: ['png'], types: ['image/png'] },
  jpeg: { file: jpeg(), extensions: ['jpg', 'jpeg'], types: ['image/jpeg', 'image/jpg'] },
  webp: { file: webp(), extensions: ['webp'], types: ['image/webp'] },
  heic: { file: heic(), extensions: ['heic', 'heif'], types: ['image/heic', 'image/heif'] },
  txt: { file: text(), extensions: ['txt'], types: ['text/plain'] },
  csv: {
    file: text('table.csv', 'a,b\n1,2\n'),
    extensions: ['csv'],
    types: ['text/csv', 'text/plain', 'application/csv', 'application/vnd.ms-excel'],
  },
  docx: { file: office('docx'), extensions: ['docx'], types: [office('docx').type] },
  xlsx: { file: office('xlsx'), extensions: ['xlsx'], types: [office('xlsx').type] },
  pptx: { file: office('pptx'), extensions: ['pptx'], types: [office('pptx').type] },
}

const undeclared = 'application/octet-stream'
const extensions = [
  ...Object.values(kinds).flatMap((kind) => kind.extensions),
  '',
  'gif',
  'svg',
  'html',
  'xml',
  'js',
  'exe',
  'zip',
  'docm',
  'pdf.exe',
  'pdf ',
  'pdf.',
]
const types = [
  ...new Set(Object.values(kinds).flatMap((kind) => kind.types)),
  undeclared,
  '',
  'image/svg+xml',
  'text/html',
  'application/zip',
  'application/x-msdownload',
]

/** Whether content, extension and declared type agree. Texts have no mark of their own. */
function doAgree(content: FileKind, extension: string, type: string): boolean {
  const kind = fileKinds.find((one) => kinds[one].extensions.includes(extension.toLowerCase()))
  if (kind === undefined || !(type === undeclared || kinds[kind].types.includes(type))) return false
  const isText = (one: FileKind): boolean => one === 'txt' || one === 'csv'
  return content === kind || (isText(content) && isText(kind))
}

promise(78, 'each content under each extension and each declared type', async (proof) => {
  const cases = fileKinds.flatMap((content) =>
    extensions.flatMap((extension) => types.map((type) => ({ content, extension, type }))),
  )
  let taken = 0
  for (const { content, extension, type } of cases) {
    const { bytes } = kinds[content].file
    const file = {
      size: bytes.length,
      read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
    }
    const filename = extension === '' ? 'file' : `file.${extension}`
    const kind = await identifyFile(file, { filename, declaredType: type })
    expect([content, extension, type, kind !== undefined]).toEqual([
      content,
      extension,
      type,
      doAgree(content, extension, type),
    ])
    if (kind) taken += 1
  }
  proof.measured(`${cases.length} combinations judged, the ${taken} that agree taken`)
})

promise(78, 'uploads whose content, name and declared type are drawn apart', async (proof) => {
  const seen = { taken: 0, refused: 0 }
  const anyCase = fc.boolean()
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...fileKinds),
      fc.oneof(fc.constantFrom(...extensions), fc.constant(undefined)),
      fc.oneof(fc.constantFrom(...types), fc.constant(undefined)),
      anyCase,
      async (content, drawnExtension, drawnType, isUpper) => {
        const [first = ''] = kinds[content].extensions
        const extension = (drawnExtension ?? first).trimEnd().replace(/\.$/, '')
        const type = drawnType ?? kinds[content].types[0] ?? ''
        const { bytes } = kinds[content].file
        const shown = isUpper ? extension.toUpperCase() : extension
        const name = shown === '' ? 'file' : `file.${shown}`
        const { status, body } = await uploadPart(app, {
          token,
          bytes,
          headers: partHeaders(name, type === '' ? undeclared : type),
        })
        const isTaken = doAgree(content, extension, type === '' ? undeclared : type)
        expect([name, type, status]).toEqual([name, type, isTaken ? 201 : 415])
        if (!isTaken) expect(body.code).toBe('unsupported_file')
        seen[isTaken ? 'taken' : 'refused'] += 1
      },
    ),
    { seed: proof.seed, numRuns: 120 },
  )
  expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(10)
  proof.measured(`${seen.taken} uploads that agree 201, ${seen.refused} that do not 415`)
})

promise(79, 'what a browser shows or runs is refused, or leaves inert', async (proof) => {
  const disguises = [
    ['', undefined],
    ['.txt', 'text/plain'],
    ['.csv', 'text/csv'],
    ['.pdf', 'application/pdf'],
    ['.png', 'image/png'],
    ['.docx', office('docx').type],
  ] as const
  const outcomes = { refused: 0, inert: 0 }
  for (const { name, type, bytes } of activeFiles) {
    for (const [extension, disguise] of disguises) {
      const file = { name: name + extension, type: disguise ?? type, bytes }
      const isInert = await judge(app, file)
      if (disguise === undefined) expect([file.name, isInert]).toEqual([file.name, false])
      outcomes[isInert ? 'inert' : 'refused'] += 1
    }
  }
  expect(outcomes.inert).toBeGreaterThan(0)
  proof.measured(
    `${activeFiles.length} kinds in ${disguises.length} disguises: ${outcomes.refused} refused, ` +
      `${outcomes.inert} sent as plain text to be saved`,
  )
})

promise(80, 'polyglots and macros are refused, or leave inert', async (proof) => {
  const outcomes = { refused: 0, inert: 0 }
  for (const file of polyglots) {
    const isInert = await judge(app, file)
    // An archive behind a picture is what another reader would open.
    if (/ZIP|DOCX|GIF|shell/.test(file.also)) {
      expect([file.also, isInert]).toEqual([file.also, false])
    }
    outcomes[isInert ? 'inert' : 'refused'] += 1
  }
  for (const file of macroFiles)
    expect([file.name, await judge(app, file)]).toEqual([file.name, false])
  proof.measured(
    `${polyglots.length} polyglots: ${outcomes.refused} refused, ${outcomes.inert} inert; ` +
      `${macroFiles.length} files with macros refused`,
  )
})

promise(80, 'the scanner’s word: infected is gone, no word is no byte', async (proof) => {
  const customer = (await scanning.asCustomer('ada')).token
  const moods = ['mute', 'hangs up', 'refuses', 'babbles'] as const
  const keys: string[] = []
  for (const mood of moods) {
    clamd.mood = mood
    for (const file of [eicar(), pdf()]) {
      if (mood === 'mute') await clamd.close()
      const { body } = await upload(scanning, file, { token: customer })
      await scanning.runJobs()
      expect(body.status).toBe('quarantined')
      await expectClosed(body.key, customer, 'document_quarantined')
      keys.push(body.key)
      if (mood === 'mute') await reopenClamd()
    }
  }
  clamd.mood = 'well'
  scanning.advance(2 * 3_600_000)
  const again = (await scanning.asCustomer('ada')).token
  await scanning.app.jobs
    .find(({ name }) => name === 'scan-quarantined-documents')
    ?.run(scanning.systemContext(), {})
  for (const [index, key] of keys.entries()) {
    const isInfected = index % 2 === 0
    if (isInfected) await expectClosed(key, again, 'document_infected')
    const { status } = await download(scanning, `/api/documents/${key}`, bearer(again))
    expect([index, status]).toEqual([index, isInfected ? 409 : 200])
  }
  const stored = await filesIn(scanning, 'kept')
  expect(stored.toSorted()).toEqual(keys.filter((_, index) => index % 2 === 1).toSorted())
  proof.measured(
    `${moods.length} ways to be down: ${keys.length} uploads stay quarantined; well again, ` +
      `${keys.length / 2} EICAR files rejected and their bytes gone`,
  )
})

promise(
  81,
  'bombs, slips and links are refused within 2 s, floods are never decoded',
  async (proof) => {
    let slowestMs = 0
    const timed = async (file: SampleFile): Promise<Reply> => {
      const startedAt = performance.now()
      const reply = await upload(app, file, { token })
      slowestMs = Math.max(slowestMs, performance.now() - startedAt)
      return reply
    }
    const corpus = bombs()
    for (const [index, file] of corpus.entries()) {
      const { status, body } = await timed(file)
      expect([index, status, body.code]).toEqual([index, 415, 'unsupported_file'])
    }
    for (const file of floods()) {
      const { status, body } = await timed(file)
      expect([file.name, status]).toEqual([file.name, 201])
      const { bytes } = await download(app, `/api/documents/${body.key}`, bearer(token))
      expect(bytes.equals(file.bytes)).toBe(true)
    }
    expect(slowestMs).toBeLessThan(2000)
    expect(await filesIn(app, 'incoming')).toEqual([])
    proof.measured(
      `${corpus.length} bombs 415, ${floods().length} floods kept as they came, slowest ` +
        `${Math.ceil(slowestMs)} ms`,
    )
  },
)

promise(82, 'any file name, in any form that a header has for it', async (proof) => {
  const before = (await filesIn(app, 'kept')).length
  const names = 120
  let taken = 0
  await fc.assert(
    fc.asyncProperty(hostileName(), fc.constantFrom(...nameForms), async (name, form) => {
      const headers = Buffer.concat([
        Buffer.from('Content-Disposition: form-data; name="file"; '),
        form(`${name}.txt`),
        Buffer.from('\r\nContent-Type: text/plain'),
      ])
      const { status, body } = await uploadPart(app, { token, headers, bytes: Buffer.from('text') })
      expect([201, 400, 415]).toContain(status)
      if (status !== 201) return
      taken += 1
      expectTameName(body.filename)
      const { headers: sent } = await download(app, `/api/documents/${body.key}`, bearer(token))
      expectToBeSaved(sent)
      expect(sent.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(nameIn(sent.get('content-disposition') ?? '')).toBe(body.filename)
    }),
    {
      seed: proof.seed,
      numRuns: names,
      examples: knownNames.map((name, at) => [name, nameForms[at % nameForms.length]!]),
    },
  )
  const stored = await filesIn(app, 'kept')
  expect(stored.filter((name) => !new RegExp(keyPattern).test(name))).toEqual([])
  expect(stored.length - before).toBe(taken)
  expect(taken).toBeGreaterThan(names / 2)
  proof.measured(
    `${names} names in ${nameForms.length} forms of the header: ${taken} taken, each stored ` +
      'under a key of ours and sent in one header of its own',
  )
})

const knownNames = [
  '../../../../etc/passwd',
  '..\\..\\windows\\win.ini',
  '/etc/passwd',
  'C:\\boot.ini',
  'a\0.php',
  'a\r\nSet-Cookie: evil=1\r\nX: ',
  'a\nContent-Type: text/html\n\n<script>',
  'fdp.\u202egnp',
  'CON',
  'nul.tar',
  'COM1',
  'trailing. . .',
  ' leading',
  'x'.repeat(5000),
  '😀'.repeat(100),
  'a"; filename="evil.html',
  "a'; drop table documents; --",
  '=?utf-8?q?=0D=0ASet-Cookie:_evil?=',
  '%0d%0aSet-Cookie:%20evil',
  '',
  '.htaccess',
  'e\u0301\u0085\u2028\ufeff\ud800',
]

function hostileName(): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(...knownNames),
    fc.constantFrom('/', '\\', '..', ':', '"', ';', '%00', '\r\n', '\0', '\u202e', ' ', '.'),
    fc.string({ unit: 'binary', maxLength: 20 }),
  )
  return fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(''))
}

type NameForm = (name: string) => Buffer

/** How clients write a name: quoted bytes, RFC 8187, RFC 2047, and without quotes. */
const nameForms: readonly NameForm[] = [
  (name) => Buffer.from(`filename="${name.toWellFormed()}"`),
  (name) => Buffer.from(`filename="${name.replaceAll(/["\\\r\n]/g, '\\$&')}"`),
  (name) => Buffer.from(`filename*=UTF-8''${encodeURIComponent(name.toWellFormed())}`),
  (name) =>
    Buffer.from(`filename="x.txt"; filename*=UTF-8''${encodeURIComponent(name.toWellFormed())}`),
  (name) => Buffer.from(`filename="=?UTF-8?B?${Buffer.from(name).toString('base64')}?="`),
  (name) => Buffer.from(`filename=${name.replaceAll(/\s/g, '_')}`),
  (name) => Buffer.from(`filename="${name}"`, 'latin1'),
]

/** No path, nothing invisible, nothing that a system takes for more than a letter, of 255 bytes. */
function expectTameName(name: string): void {
  expect(name).not.toMatch(/[/\\<>:"|?*]|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  expect(name).not.toMatch(/^[. ]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i)
  expect(name.isWellFormed()).toBe(true)
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255)
}

/** Whether the file was taken and leaves inert; otherwise it was refused as what it is. */
async function judge(node: TestApp, file: SampleFile): Promise<boolean> {
  const { status, body } = await upload(node, file, { token })
  if (status === 415) {
    expect(body.code).toBe('unsupported_file')
    return false
  }
  expect([file.name, status]).toEqual([file.name, 201])
  await expectInert(node, body.key, token)
  return true
}

const inertTypes = new Set([
  'application/pdf',
  'image/png',
  'image/jpeg',
  'image/webp',
  'image/heic',
  'text/plain; charset=utf-8',
  'text/csv; charset=utf-8',
  office('docx').type,
  office('xlsx').type,
  office('pptx').type,
])

/** Whole, in part, by its head and when it is not modified: always to be saved, never to be run. */
async function expectInert(node: TestApp, key: string, reader: string): Promise<void> {
  const url = `${node.url}/api/documents/${key}`
  const whole = await fetch(url, { headers: bearer(reader) })
  await whole.arrayBuffer()
  const etag = whole.headers.get('etag') ?? ''
  const replies = [
    whole,
    await fetch(url, { method: 'HEAD', headers: bearer(reader) }),
    await fetch(url, { headers: { ...bearer(reader), range: 'bytes=0-1' } }),
    await fetch(url, { headers: { ...bearer(reader), 'if-none-match': etag } }),
  ]
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 206, 304])
  for (const { status, headers } of replies) {
    if (status === 304) expectNoSniffing(headers)
    else expectToBeSaved(headers)
  }
}

function expectNoSniffing(headers: Headers): void {
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('content-security-policy')).toMatch(/^sandbox; default-src 'none'/)
  expect(headers.get('set-cookie')).toBe(null)
}

function expectToBeSaved(headers: Headers): void {
  expectNoSniffing(headers)
  expect(inertTypes).toContain(headers.get('content-type'))
  expect(headers.get('content-disposition')).toMatch(dispositionForm)
}

/** RFC 6266 with a quoted name in ASCII, and RFC 8187 for all of it. */
const dispositionForm =
  /^attachment; filename="[\x20\x21\x23-\x24\x26-\x5b\x5d-\x7e]*"(; filename\*=UTF-8''[\w!#$&+.^`|~%-]+)?$/

/** The name that a client saves the file under. */
function nameIn(disposition: string): string {
  const exact = /filename\*=UTF-8''(.*)$/.exec(disposition)?.[1]
  const plain = /filename="([^"]*)"/.exec(disposition)?.[1]
  return exact === undefined ? (plain ?? '') : decodeURIComponent(exact)
}

function bearer(reader: string): Record<string, string> {
  return { authorization: `Bearer ${reader}` }
}

function partHeaders(filename: string, type: string): string {
  return `Content-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: ${type}`
}

async function expectClosed(key: string, reader: string, code: string): Promise<void> {
  const byAdmin = await scanning.as('admin')
  for (const actor of [reader, byAdmin]) {
    for (const headers of [bearer(actor), { ...bearer(actor), range: 'bytes=0-0' }]) {
      const { status, bytes } = await download(scanning, `/api/documents/${key}`, headers)
      const isHidden = actor === byAdmin && status === 404
      expect(isHidden || (status === 409 && JSON.parse(bytes.toString()).code === code)).toBe(true)
    }
  }
}

/** At the address where it was: the app knows no other. */
async function reopenClamd(): Promise<void> {
  const { mood } = clamd
  clamd = await startClamd(Number(new URL(clamd.url).port))
  clamd.mood = mood
}
