import sanitizeHtml from 'sanitize-html'

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
 * nobody is led anywhere by a name.
 */
export function cleanMarkup(html: string, origins: readonly string[]): string {
  return sanitizeHtml(html, {
    allowedTags,
    nonTextTags: silencedTags,
    allowedAttributes: { a: ['href'], th: ['colspan', 'rowspan'], td: ['colspan', 'rowspan'] },
    allowedSchemes: ['http', 'https'],
    allowProtocolRelative: false,
    nestingLimit: maxDepth,
    parseStyleAttributes: false,
    disallowedTagsMode: 'discard',
    transformTags: {
      a: (_tag, { href = '' }) => {
        if (leadsTo(href, origins)) return { tagName: 'a', attribs: { href } }
        return { tagName: 'u', attribs: {}, ...writtenOut(href) }
      },
    },
  })
}

function leadsTo(href: string, origins: readonly string[]): boolean {
  return URL.canParse(href) && origins.includes(new URL(href).origin)
}

/** Where there is no address to show, the words stay. */
function writtenOut(href: string): { text?: string } {
  return /^(https?|mailto|tel):/i.test(href) ? { text: href } : {}
}
