import type { Tag } from 'sanitize-html'

/** What staff may use in a mail of their own: text and its order, nothing that runs or loads. */
const allowedTags = [
  'p',
  'br',
  'hr',
  'h1',
  'h2',
  'h3',
  'h4',
  'ul',
  'ol',
  'li',
  'blockquote',
  'pre',
  'code',
  'strong',
  'b',
  'em',
  'i',
  'u',
  's',
  'sub',
  'sup',
  'a',
  'table',
  'thead',
  'tbody',
  'tr',
  'th',
  'td',
]

/** Their text goes with them: it was never meant to be read. */
const silencedTags = ['script', 'style', 'textarea', 'option', 'noscript', 'title', 'template']

/** Deeper than any letter; what nests further is flattened. */
const maxDepth = 30

/**
 * Foreign HTML made safe for a mail: no script, style, form, image, frame, class or handler. A link
 * to one of `origins` stays a link. Of any other the address takes the place of the words, so that
 * nobody is led anywhere by a name. The library is loaded by the first of them.
 */
export async function cleanMarkup(html: string, origins: readonly string[]): Promise<string> {
  const { default: sanitizeHtml } = await import('sanitize-html')
  const cleaned = sanitizeHtml(html, {
    allowedTags,
    nonTextTags: silencedTags,
    allowedAttributes: {
      a: ['href', 'title'],
      th: ['colspan', 'rowspan'],
      td: ['colspan', 'rowspan'],
    },
    allowedSchemes: ['http', 'https'],
    allowProtocolRelative: false,
    nestingLimit: maxDepth,
    parseStyleAttributes: false,
    disallowedTagsMode: 'discard',
    transformTags: { a: (_tag, { href = '' }) => judgeLink(href, origins) },
  })
  return writeOutForeignLinks(cleaned)
}

/**
 * The address of a foreign link waits in `title`, which comes from nowhere else. An address of ours
 * is written as browsers read it, so that no reader takes it for another. Where there is no address
 * to show, the words stay.
 */
function judgeLink(href: string, origins: readonly string[]): Tag {
  const url = URL.canParse(href) ? new URL(href) : undefined
  if (url && origins.includes(url.origin)) return { tagName: 'a', attribs: { href: url.href } }
  const isShown = /^(https?|mailto|tel):/i.test(href)
  return isShown ? { tagName: 'a', attribs: { title: href } } : { tagName: 'u', attribs: {} }
}

/** What was cleaned has one way only to write a link, and closes each: so it can be read like this. */
function writeOutForeignLinks(cleaned: string): string {
  const open: ({ readonly address: string; readonly before: string } | 'ours')[] = []
  let written = ''
  for (const part of cleaned.split(/(<a (?:href|title)="[^"]*">|<\/a>)/)) {
    const address = /^<a title="([^"]*)">$/.exec(part)?.[1]
    if (address !== undefined) {
      open.push({ address, before: written })
      written = ''
    } else if (part === '</a>') {
      const link = open.pop() ?? 'ours'
      written = link === 'ours' ? written + part : `${link.before}<u>${link.address}</u>`
    } else {
      if (part.startsWith('<a ')) open.push('ours')
      written += part
    }
  }
  return written
}
