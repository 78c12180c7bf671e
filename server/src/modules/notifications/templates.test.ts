import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import type { House, RenderedMail } from './rules/letter.ts'
import { renderLetter } from './rules/render.ts'
import { renderMasked, templates, tokenTemplates, writeLetter } from './rules/templates.ts'
import { mailData, templateNames, type TemplateName } from './schema.ts'

const house: House = {
  name: 'Fairwater',
  publicUrl: 'https://fairwater.example',
  timeZone: 'Europe/London',
}
const token = { token: 'usr_1.to/k+en', expiresAt: '2026-11-22T17:40:21.000Z' }

function render(name: TemplateName, data: unknown = templates[name].sample): RenderedMail {
  return renderLetter(writeLetter(name, data, { house, secret: token }), house)
}

/** The words alone, in their order: what both forms must agree on. */
function wordsOf(text: string): string[] {
  return text
    .replaceAll(/[>:\s]+/g, ' ')
    .trim()
    .split(' ')
}

/** What a reader sees of the HTML: the text and the addresses of the links, line by line. */
function visibleText(html: string): string {
  const body = html.slice(html.indexOf('<table role="presentation"'))
  return body
    .replaceAll(/<a href="([^"]*)"[^>]*>([^<]*)<\/a>/g, '$2 $1')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => characters[name] ?? '')
}
const characters: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
}

describe('every template', () => {
  test.each(templateNames)('%s has a sample that its schema takes', (name) => {
    expect(Value.Errors(mailData[name], templates[name].sample)).toEqual([])
  })

  test.each(templateNames)('%s says the same in both forms', (name) => {
    const { text, html } = render(name)
    const body = text.slice(0, text.indexOf('\n-- \n'))
    const foot = wordsOf(`${house.name} ${house.publicUrl}`)
    const seen = wordsOf(
      visibleText(html).replaceAll(`${house.publicUrl} ${house.publicUrl}`, house.publicUrl),
    )
    expect(seen.slice(0, -foot.length)).toEqual(wordsOf(body))
  })

  test.each(templateNames)('%s leads to our own pages only, and loads nothing', (name) => {
    const { html, text } = render(name)
    const links = [...html.matchAll(/(?:href|src|action|background)="([^"]*)"/g)].map(
      ([, to]) => to,
    )
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) expect(new URL(link ?? '').origin).toBe(house.publicUrl)
    expect(html).not.toMatch(/<(script|img|iframe|form|link|object|embed)\b|url\(|@import/i)
    for (const [address] of text.matchAll(/https?:\/\/\S+/g)) {
      expect(new URL(address).origin).toBe(house.publicUrl)
    }
  })
})

const hostile = `<img src=x onerror=alert(1)> "quoted" & 'single' </td></table> \u202egnp.exe`

/** The same data with every free text made hostile. */
function poisoned(value: unknown): unknown {
  if (typeof value === 'string') {
    return /^\d{4}-|^[A-Z]{3}$|^[BC]-\d|^(customer|completed)$/.test(value) ? value : hostile
  }
  if (Array.isArray(value)) return value.map((item) => poisoned(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, poisoned(item)]))
}

describe('hostile data', () => {
  test.each(templateNames)('in %s stays text', (name) => {
    const { html } = render(name, poisoned(templates[name].sample))
    expect(html).not.toContain('<img')
    expect(html).not.toContain('</td></table>')
    expect(html.match(/<table/g)?.length).toBe(html.match(/<\/table>/g)?.length)
  })

  test('a name that could pass for an advertisement is not repeated', () => {
    const names = [
      'WIN AT http://evil.example',
      'www.evil.example',
      'a@b',
      'Visit evil.example now',
    ]
    for (const name of names) {
      const { text } = render('welcome', { name })
      expect(text.startsWith('Hello,\n')).toBe(true)
    }
    for (const name of ['Ada Lovelace', "Conan O'Brien", '李小龍', 'Dr. J. R. Smith']) {
      expect(render('welcome', { name }).text.startsWith(`Hello ${name},\n`)).toBe(true)
    }
  })

  test('nor is the subject of a request that could, which anybody may send to any address', () => {
    const request = { ...templates.case_opened.sample, orderNumber: null }
    for (const subject of ['BUY at http://evil.example', 'evil.example', 'a'.repeat(81)]) {
      const { text, html } = render('case_opened', { ...request, subject })
      expect(text).not.toContain('Subject:')
      expect(text + html).not.toContain(subject)
      expect(text).toContain('C-1042')
    }
    const { text, html } = render('case_opened', { ...request, subject: 'Re: what B-1042 holds' })
    expect(text).toContain('Subject: Re: what B-1042 holds\n')
    expect(html.split('Re: what B-1042 holds').length).toBe(3)
  })

  test('control characters are left out of both forms', () => {
    const body = 'one\u0000\u001b[31m two\r\nthree'
    const { text, html } = render('staff_replied', { ...templates.staff_replied.sample, body })
    // oxlint-disable-next-line no-control-regex
    expect(text + html).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/)
    expect(text).toContain('> one[31m two\n> three')
  })
})

describe('tokens', () => {
  test('stand behind # in the link, escaped, and nowhere else', () => {
    for (const name of tokenTemplates) {
      const { text, html, subject } = render(name)
      const encoded = encodeURIComponent(token.token)
      expect(text.split(encoded).length).toBe(2)
      expect(html.split(encoded).length).toBe(2)
      expect(text).toMatch(new RegExp(`${house.publicUrl}/\\w+/[\\w-]+#token=`))
      expect(subject).not.toContain(encoded)
      expect(text).toContain('until 22 November 2026, 17:40 (Europe/London)')
    }
    expect(tokenTemplates.toSorted()).toEqual([
      'password_reset',
      'staff_invitation',
      'verify_email',
    ])
  })

  test('are masked wherever a mail is only looked at', () => {
    for (const name of tokenTemplates) {
      const { text } = renderMasked(name, templates[name].sample, house)
      expect(text).toContain('#token=********')
      expect(templates[name].byHand).toBe(false)
    }
  })
})

describe('amounts and times', () => {
  test.each([
    [{ amount: 19_900, currency: 'GBP' }, '£199.00'],
    [{ amount: 5000, currency: 'JPY' }, 'JP¥5,000'],
    [{ amount: 1250, currency: 'KWD' }, 'KWD 1.250'],
    [{ amount: 99_999_999, currency: 'EUR' }, '€999,999.99'],
  ])('%j is %s', (amount, written) => {
    const { text } = render('refund', { ...templates.refund.sample, amount })
    expect(text).toContain(`Refunded: ${written}\n`)
  })

  test('days and hours are those of the business', () => {
    const data = { ...templates.payment_failed.sample, keptUntil: '2026-06-30T23:30:00.000Z' }
    expect(render('payment_failed', data).text).toContain('1 July 2026, 00:30 (Europe/London)')
  })
})
