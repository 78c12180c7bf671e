/**
 * What a mail says, once: the plain text and the HTML are both made of this, so that they cannot
 * say different things.
 */
export interface Letter {
  readonly subject: string
  /** What an inbox shows after the subject. */
  readonly preheader: string
  readonly blocks: readonly Block[]
}

export type Block =
  | { readonly kind: 'paragraph'; readonly text: string }
  /** Words of somebody else, with their line breaks. */
  | { readonly kind: 'quote'; readonly text: string }
  /** Labels and their values, one a line. */
  | { readonly kind: 'facts'; readonly rows: readonly Fact[] }
  | { readonly kind: 'button'; readonly label: string; readonly url: string }
  /** A colleague's own text in both forms; the HTML was sanitised when it came in. */
  | { readonly kind: 'markup'; readonly text: string; readonly html: string }

export type Fact = readonly [label: string, value: string]

/** Whose mails they are. */
export interface House {
  readonly name: string
  /** Without a trailing slash: the only place that a mail's links lead to. */
  readonly publicUrl: string
  readonly timeZone: string
}

/** What goes on the wire. */
export interface RenderedMail {
  readonly subject: string
  readonly text: string
  readonly html: string
}

export function paragraph(text: string): Block {
  return { kind: 'paragraph', text }
}

export function quote(text: string): Block {
  return { kind: 'quote', text }
}

export function button(label: string, url: string): Block {
  return { kind: 'button', label, url }
}

/** A fact without a value is left out, and so is a table without facts. */
export function facts(...rows: readonly (readonly [string, string | null])[]): Block[] {
  const known = rows.flatMap(([label, value]): Fact[] => (value === null ? [] : [[label, value]]))
  return known.length === 0 ? [] : [{ kind: 'facts', rows: known }]
}

export function greeting(name: string): Block {
  return paragraph(isRepeatable(name) ? `Hello ${name},` : 'Hello,')
}

/**
 * Names and subjects are typed by strangers too, who can have them mailed to anybody: what could
 * pass for an advertisement, with an address or a link in it, is not repeated.
 */
export function isRepeatable(words: string): boolean {
  return words.length <= 80 && !/:\S|[/@\\<>]|www\.|\.\p{L}{2,}/iu.test(words)
}
