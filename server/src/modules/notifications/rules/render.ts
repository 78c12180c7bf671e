import type { Block, House, Letter, RenderedMail } from './letter.ts'

/** Both forms of a letter, with the same words in the same order. */
export function renderLetter(letter: Letter, house: House): RenderedMail {
  return {
    subject: letter.subject,
    text: renderText(letter, house),
    html: renderHtml(letter, house),
  }
}

function renderText({ blocks }: Letter, house: House): string {
  const parts = blocks.map((block) => blockAsText(block))
  const sign = `-- \n${house.name}\n${house.publicUrl}`
  return `${[...parts, sign].map((part) => withoutControls(part)).join('\n\n')}\n`
}

function blockAsText(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
    case 'markup':
      return block.text
    case 'quote':
      return linesOf(block.text)
        .map((line) => `> ${line}`.trimEnd())
        .join('\n')
    case 'facts':
      return block.rows.map(([label, value]) => `${label}: ${value}`).join('\n')
    case 'button':
      return `${block.label}:\n${block.url}`
    default:
      return block satisfies never
  }
}

/**
 * One column of tables with inline styles, which every reader shows. The few rules in the head are
 * for the dark: readers that do not know them keep the light colours, which stay legible.
 */
function renderHtml({ subject, preheader, blocks }: Letter, house: House): string {
  const body = blocks.map((block) => blockAsHtml(block)).join('\n')
  const home = escape(house.publicUrl)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escape(subject)}</title>
<style>
@media (prefers-color-scheme: dark) {
  .ground { background: #16181d !important }
  .sheet { background: #22252b !important }
  .ink { color: #e8eaee !important }
  .faint { color: #a9b0bb !important }
  .rule { border-color: #4a505b !important }
}
</style>
</head>
<body class="ground" style="${styles.ground}">
<div style="${styles.preheader}">${escape(preheader)}</div>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
<tr><td align="center" style="padding:24px 12px">
<table role="presentation" class="sheet" width="100%" cellpadding="0" cellspacing="0" border="0"
 style="${styles.sheet}">
<tr><td class="ink" style="${styles.ink}">
${body}
</td></tr>
</table>
<p class="faint" style="${styles.foot}">${escape(house.name)}<br>
<a class="faint" href="${home}" style="color:#5b6470">${home}</a></p>
</td></tr>
</table>
</body>
</html>
`
}

const font = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
const styles = {
  ground: 'margin:0;padding:0;background:#f2f3f5',
  preheader: 'display:none;max-height:0;overflow:hidden;mso-hide:all',
  sheet: 'max-width:600px;background:#ffffff;border-radius:8px',
  ink: `padding:32px 28px;color:#1d2129;${font};font-size:16px;line-height:1.5`,
  foot: `margin:20px 0 0;color:#5b6470;${font};font-size:13px;line-height:1.5`,
  paragraph: 'margin:0 0 16px',
  quote: 'margin:0 0 16px;padding:4px 0 4px 16px;border-left:3px solid #c6cbd3',
  facts: 'margin:0 0 20px;border-collapse:collapse',
  label: 'padding:4px 20px 4px 0;text-align:left;vertical-align:top;font-weight:400;color:#5b6470',
  value: 'padding:4px 0;vertical-align:top',
  button:
    'display:inline-block;padding:11px 20px;border-radius:6px;background:#1f5fbf;color:#ffffff;' +
    'text-decoration:none;font-weight:600',
} as const

function blockAsHtml(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
      return `<p style="${styles.paragraph}">${withBreaks(block.text)}</p>`
    case 'quote':
      return `<blockquote class="rule" style="${styles.quote}">
${withBreaks(block.text)}</blockquote>`
    case 'facts':
      return `<table style="${styles.facts}">
${block.rows.map(([label, value]) => factAsHtml(label, value)).join('\n')}
</table>`
    case 'button':
      return `<p style="margin:24px 0">
<a href="${escape(block.url)}" style="${styles.button}">${escape(block.label)}</a></p>`
    case 'markup':
      return block.html
    default:
      return block satisfies never
  }
}

function factAsHtml(label: string, value: string): string {
  return `<tr><th scope="row" class="faint" style="${styles.label}">${escape(label)}</th>
<td style="${styles.value}">${escape(value)}</td></tr>`
}

function withBreaks(text: string): string {
  return linesOf(text)
    .map((line) => escape(line))
    .join('<br>\n')
}

function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/)
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return withoutControls(text).replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}

/** No reader shows them, and some act on them. */
function withoutControls(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '')
}
