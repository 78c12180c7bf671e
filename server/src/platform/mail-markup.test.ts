import { expect, test } from 'vitest'
import { cleanMarkup } from './mail-markup.ts'

const own = ['http://localhost:3000', 'https://shop.example']
const clean = (html: string): Promise<string> => cleanMarkup(html, own)

test('text and its order stay', async () => {
  const html =
    '<h2>Hello</h2><p>This is <strong>bold</strong>.<br />And <em>this</em>.</p>' +
    '<ul><li>one</li><li>two</li></ul>' +
    '<table><tbody><tr><th>a</th><td colspan="2">b</td></tr></tbody></table>'
  expect(await clean(html)).toBe(html)
})

test.each([
  ['scripts', '<p>Hi <script>alert(1)</script>Ada</p>', '<p>Hi Ada</p>'],
  [
    'handlers, styles and classes',
    '<p onclick="x()" style="a" class="b" id="c">Hi</p>',
    '<p>Hi</p>',
  ],
  ['style sheets', '<style>p { color: red }</style><p>Hi</p>', '<p>Hi</p>'],
  ['forms', '<form action="/x"><input name="a"><button>Go</button></form>', 'Go'],
  ['remote images', '<img src="https://evil.example/pixel.png">', ''],
  ['inline images', '<img src="data:image/png;base64,AAAA">', ''],
  ['frames', '<iframe src="https://evil.example">x</iframe>', 'x'],
  ['refreshing pages', '<meta http-equiv="refresh" content="0;url=https://evil.example">', ''],
  ['other bases', '<base href="https://evil.example/"><p>Hi</p>', '<p>Hi</p>'],
  ['vector images', '<svg onload="x()"><circle r="1"/></svg>', ''],
  ['comments', '<!--[if mso]><p>x</p><![endif]--><p>Hi</p>', '<p>Hi</p>'],
])('%s do not', async (_what, html, expected) => {
  expect(await clean(html)).toBe(expected)
})

test('what is open is closed, so that nothing of it reaches beyond', async () => {
  expect(await clean('<ul><li>one<b>two')).toBe('<ul><li>one<b>two</b></li></ul>')
  expect(await clean('</td></tr></table>after')).toBe('after')
})

test('a link to our own pages stays', async () => {
  const html = '<a href="https://shop.example/a?b=1&amp;c=2">here</a>'
  expect(await clean(html)).toBe(html)
})

test.each([
  ['https://evil.example/?a=1&b=2', '<u>https://evil.example/?a=1&amp;b=2</u>'],
  ['http://localhost:3000@evil.example/', '<u>http://localhost:3000@evil.example/</u>'],
  ['http://localhost:3000.evil.example/', '<u>http://localhost:3000.evil.example/</u>'],
  ['mailto:eve@evil.example', '<u>mailto:eve@evil.example</u>'],
  ['//evil.example/', '<u>here</u>'],
  ['javascript:alert(1)', '<u>here</u>'],
  ['java\nscript:alert(1)', '<u>here</u>'],
  ['data:text/html,x', '<u>here</u>'],
])('any other shows where it leads: %j', async (href, expected) => {
  expect(await clean(`<a href="${href}">here</a>`)).toBe(expected)
})

test.each([
  [
    'words with a form of their own',
    '<a href="https://evil.example/">click <b>here</b> and <i>there</i></a> now',
    '<u>https://evil.example/</u> now',
  ],
  ['nothing', '<a href="https://evil.example/"><img src="x"></a>', '<u>https://evil.example/</u>'],
  [
    'a link of ours',
    '<a href="https://evil.example/">one <a href="https://shop.example/">two</a></a>',
    '<u>https://evil.example/</u>',
  ],
  [
    'what looks like a mark of our own',
    '<a href="https://evil.example/" title="https://shop.example/">one &lt;/a&gt;</a> two',
    '<u>https://evil.example/</u> two',
  ],
])('its address takes the place of all that it holds: %s', async (_what, html, expected) => {
  expect(await clean(html)).toBe(expected)
})

test('a foreign link in one of ours does not lead away', async () => {
  const html = '<a href="https://shop.example/">one <a href="https://evil.example/">two</a></a>'
  expect(await clean(html)).toBe(
    '<a href="https://shop.example/">one <u>https://evil.example/</u></a>',
  )
})

test.each([
  ['https://shop.example\\@evil.example/', 'https://shop.example/@evil.example/'],
  [' https://shop.example/\na', 'https://shop.example/a'],
])(
  'an address of ours is written so that it cannot be read as another: %j',
  async (href, expected) => {
    expect(await clean(`<a href="${href}" title="x">here</a>`)).toBe(
      `<a href="${expected}">here</a>`,
    )
  },
)

test('nesting is bounded, and so is the time for it', async () => {
  const deep = await clean(`${'<blockquote>'.repeat(5000)}x${'</blockquote>'.repeat(5000)}`)
  expect(deep.match(/<blockquote>/g)?.length).toBeLessThanOrEqual(30)
  expect(deep).toContain('x')
})
