import { crc32, deflateSync } from 'node:zlib'

/** A file that somebody of the demo sends. */
export interface Paper {
  readonly filename: string
  readonly contentType: string
  readonly bytes: Buffer
}

/** A page with a heading and some lines, in letters of Western Europe. */
export function letter(filename: string, heading: string, lines: readonly string[]): Paper {
  const said = lines.map((line) => `(${quote(line)}) Tj T*`).join('\n')
  const content =
    `BT /Bold 18 Tf 72 760 Td (${quote(heading)}) Tj ET\n` +
    `BT /Plain 11 Tf 16 TL 72 724 Td\n${said}\nET`
  const fonts = '<< /Font << /Plain 5 0 R /Bold 6 0 R >> >>'
  const bytes = toPdf([
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R ' +
      `/Resources ${fonts} >>`,
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    font('Helvetica'),
    font('Helvetica-Bold'),
  ])
  return { filename, contentType: 'application/pdf', bytes }
}

/** What a phone makes of a page: grey lines on bright paper. */
export function scan(filename: string): Paper {
  return picture(filename, (x, y) => {
    const isMargin = x < 40 || x > 260 || y < 48 || y > 366
    const line = Math.floor(y / 12)
    // Lines end where sentences do, so no two beside each other are of one length.
    const isWritten = y % 12 < 5 && x < 150 + ((line * 67) % 110)
    return isMargin || !isWritten ? 246 : 78
  })
}

/** A round mark that stands on a wave. */
export function sketch(filename: string): Paper {
  return picture(filename, (x, y) => {
    const fromCentre = Math.hypot(x - 150, y - 180)
    const wave = 250 + Math.sin(x / 24) * 12
    if (fromCentre < 96 && y < wave) return fromCentre < 84 ? 90 : 40
    return Math.abs(y - wave) < 6 ? 40 : 252
  })
}

export function table(filename: string, rows: readonly (readonly string[])[]): Paper {
  const bytes = Buffer.from(rows.map((row) => `${row.join(',')}\r\n`).join(''))
  return { filename, contentType: 'text/csv', bytes }
}

export function memo(filename: string, lines: readonly string[]): Paper {
  return { filename, contentType: 'text/plain', bytes: Buffer.from(`${lines.join('\n')}\n`) }
}

function font(name: string): string {
  return `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`
}

/** Brackets and the backslash would end or bend a string of a PDF. */
function quote(text: string): string {
  return text.replaceAll(/[\\()]/g, '\\$&')
}

/** Numbers the objects and ends with the table that says where each begins (ISO 32000, 7.5). */
function toPdf(objects: readonly string[]): Buffer {
  let file = '%PDF-1.4\n'
  const places = objects.map((body, index) => {
    const place = String(file.length).padStart(10, '0')
    file += `${index + 1} 0 obj\n${body}\nendobj\n`
    return `${place} 00000 n \n`
  })
  const size = objects.length + 1
  const start = file.length
  file += `xref\n0 ${size}\n0000000000 65535 f \n${places.join('')}`
  file += `trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`
  // A byte a letter: so the places that were counted in letters are those of the bytes.
  return Buffer.from(file, 'latin1')
}

const width = 300
const height = 420

/** A picture in shades of grey, from 0 for black to 255. */
function picture(filename: string, shadeAt: (x: number, y: number) => number): Paper {
  const rows = Buffer.alloc((width + 1) * height)
  for (let y = 0; y < height; y += 1) {
    // Each row begins with a 0, which says that it stands as it is.
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + x + 1] = shadeAt(x, y)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.writeUInt8(8, 8)
  const bytes = Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
  return { filename, contentType: 'image/png', bytes }
}

/** Length, name, content and checksum: what a PNG is made of. */
function chunk(name: string, content: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name), content])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, checksum])
}
