/** Markup that is safe to put into a page as it is. */
export interface Html {
  readonly markup: string
}

type Content = Html | Html[] | number | string | null | undefined

/** A template of markup; everything put into it is escaped unless it is markup itself. */
export function html(parts: TemplateStringsArray, ...contents: Content[]): Html {
  const markup = parts.map((part, index) => part + render(contents[index])).join('')
  return { markup }
}

/** A whole page with the house style; it works without JavaScript and asks nobody for anything. */
export function page(title: string, body: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <p class="notice">Sandbox: no real money moves here.</p>
        <main>${body}</main>
      </body>
    </html>`.markup
}

const STYLE: Html = {
  markup: `
    :root { color-scheme: light dark; --ink: #16213a; --soft: #55607a; --paper: #fff;
      --ground: #eef1f6; --line: #c3cad8; --accent: #3d4fd1; --alarm: #a4161a; }
    @media (prefers-color-scheme: dark) {
      :root { --ink: #e9edf6; --soft: #aab3c8; --paper: #1a2133; --ground: #10151f;
        --line: #45506a; --accent: #98a6ff; --alarm: #ff9d97; } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--ground); color: var(--ink);
      font: 1rem/1.5 system-ui, sans-serif; }
    main { max-width: 34rem; margin: 2rem auto; padding: 2rem; background: var(--paper);
      border-radius: .75rem; }
    main:has(table.wide) { max-width: 64rem; }
    .notice { margin: 0; padding: .4rem 1rem; text-align: center; background: #f5c542;
      color: #221a00; }
    h1 { margin: 0 0 1rem; font-size: 1.4rem; }
    h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
    table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
    th, td { padding: .35rem .5rem .35rem 0; border-bottom: 1px solid var(--line);
      text-align: left; vertical-align: top; overflow-wrap: anywhere; }
    td.amount, th.amount { text-align: right; white-space: nowrap; }
    label { display: block; margin-top: 1rem; font-weight: 600; }
    .hint { color: var(--soft); font-size: .9rem; }
    input, select { width: 100%; padding: .6rem .7rem; font: inherit; color: inherit;
      background: var(--paper); border: 1px solid var(--line); border-radius: .4rem; }
    .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
    button { width: 100%; margin-top: 1.5rem; padding: .75rem; font: inherit; font-weight: 600;
      color: var(--paper); background: var(--accent); border: 0; border-radius: .4rem;
      cursor: pointer; }
    button.quiet { margin-top: .75rem; color: var(--accent); background: none;
      border: 1px solid var(--accent); }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    a { color: var(--accent); }
    .alert { padding: .75rem 1rem; border: 2px solid var(--alarm); border-radius: .4rem;
      color: var(--alarm); }
  `,
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '&quot;',
  '&': '&amp;',
  "'": '&#39;',
  '<': '&lt;',
  '>': '&gt;',
}

function render(content: Content): string {
  if (content === null || content === undefined) return ''
  if (Array.isArray(content)) return content.map(render).join('')
  if (typeof content === 'object') return content.markup
  return String(content).replaceAll(/["&'<>]/g, (character) => ESCAPES[character] ?? '')
}
