import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startMailServer, type MailServer } from '../../test/support/mail-server.ts'
import { eventually } from '../../test/support/eventually.ts'
import {
  keepMail,
  MailError,
  openMail,
  readSender,
  type Mail,
  type MailFailure,
  type OutgoingMail,
} from './mail.ts'

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }
const letter: OutgoingMail = {
  messageId: '<mail_1@fairwater.example>',
  to: { name: 'Ada Lovelace', address: 'ada@example.com' },
  subject: 'Grüße, £5',
  text: 'Hello – in UTF-8 ✓\n',
  html: '<p>Hello – in UTF-8 ✓</p>\n',
  at: new Date('2026-11-22T16:40:21.000Z'),
  isAutomatic: true,
}

let server: MailServer
let mail: Mail

beforeEach(async () => {
  server = await startMailServer()
  mail = openMail({ url: server.url, sender, restMs: 0, deadlineMs: 1000 })
})
afterEach(async () => {
  await mail.close()
  await server.close()
})

async function failureOf(sending: Promise<void>): Promise<[MailFailure, string]> {
  try {
    await sending
  } catch (error) {
    if (error instanceof MailError) return [error.failure, error.message]
    throw error
  }
  throw new Error('the mail was taken')
}

describe('a mail that the server takes', () => {
  test('arrives in both forms, with the headers that it was given', async () => {
    await mail.send(letter)
    const [taken] = server.mails
    expect(taken).toMatchObject({ from: sender.address, to: ['ada@example.com'] })
    expect(taken?.raw).toMatch(/^Content-Type: multipart\/alternative;/m)
    expect(taken?.parsed).toMatchObject({
      messageId: letter.messageId,
      subject: letter.subject,
      text: letter.text,
      html: letter.html,
      date: letter.at,
      from: { text: '"Fairwater" <office@fairwater.example>' },
      to: { text: '"Ada Lovelace" <ada@example.com>' },
    })
    expect(taken?.parsed.headers.get('auto-submitted')).toBe('auto-generated')
  })

  test('by a person says nothing of a machine', async () => {
    await mail.send({ ...letter, isAutomatic: false })
    expect(server.mails[0]?.parsed.headers.has('auto-submitted')).toBe(false)
  })

  test('goes over a connection that is kept', async () => {
    for (const n of [1, 2, 3]) await mail.send({ ...letter, messageId: `<${n}@fairwater.example>` })
    expect([server.mails.length, server.connections()]).toEqual([3, 1])
  })
})

describe('headers', () => {
  test.each([
    ['subject', { ...letter, subject: 'Hello\r\nBcc: eve@evil.example\r\n\r\nOwned' }],
    [
      'name',
      { ...letter, to: { ...letter.to, name: 'Ada\r\nBcc: eve@evil.example\u2028X-Evil: 1' } },
    ],
  ])('cannot be added by a line break in the %s', async (_where, evil) => {
    await mail.send(evil)
    const [taken] = server.mails
    expect(taken?.to).toEqual(['ada@example.com'])
    expect(taken?.parsed.headers.has('bcc')).toBe(false)
    expect(taken?.raw).not.toMatch(/^(Bcc|X-Evil):/im)
    expect(taken?.parsed.text).toBe(letter.text)
  })

  test.each([
    'ada@example.com\r\nBcc: eve@evil.example',
    'ada@example.com, eve@evil.example',
    'ada,eve@evil.example',
    '"ada> <eve"@evil.example',
    'Ada <ada@example.com>',
    'ada@example.com ',
    'ada(comment)@example.com',
    'ada',
    '',
  ])('an address that is more than one is refused: %j', async (address) => {
    const [failure] = await failureOf(mail.send({ ...letter, to: { name: '', address } }))
    expect([failure, server.connections()]).toEqual(['refused', 0])
  })
})

describe('what the server does not take', () => {
  test.each([
    ['rcpt', 'refuse', 'refused', '550'],
    ['data', 'refuse', 'refused', '550'],
    ['rcpt', 'defer', 'deferred', '451'],
    ['data', 'defer', 'deferred', '451'],
    // A no to the sender is about us, and so about every mail.
    ['from', 'refuse', 'unreachable', '550'],
    ['from', 'defer', 'unreachable', '451'],
    ['connect', 'refuse', 'unreachable', ''],
    ['connect', 'drop', 'unreachable', ''],
    ['rcpt', 'drop', 'unreachable', ''],
    ['data', 'drop', 'unreachable', ''],
    ['answer', 'drop', 'unreachable', ''],
    ['connect', 'stall', 'unreachable', 'in time'],
    ['rcpt', 'stall', 'unreachable', 'in time'],
    ['answer', 'stall', 'unreachable', 'in time'],
  ] as const)('%s, %s: %s', async (stage, trouble, failure, words) => {
    server.trouble(stage, trouble)
    const [seen, message] = await failureOf(mail.send(letter))
    expect(seen).toBe(failure)
    expect(message).toContain(words)
    expect(message).not.toMatch(/127\.0\.0\.1|:\d{4,5}/)
    server.wellAgain()
    await mail.send(letter)
    expect(server.mails.at(-1)?.parsed.messageId).toBe(letter.messageId)
  })

  test('a server that is gone cannot be reached', async () => {
    await server.close()
    expect(await failureOf(mail.send(letter))).toEqual([
      'unreachable',
      'The mail server cannot be reached (ESOCKET).',
    ])
  })

  test('a wrong password is never told', async () => {
    const guarded = await startMailServer({ credentials: 'bureau:right' })
    const stranger = openMail({ url: guarded.url.replace('right', 'wrong-secret'), sender })
    const [failure, message] = await failureOf(stranger.send(letter))
    expect(failure).toBe('unreachable')
    expect(message).toBe('The mail server does not accept our credentials.')
    const friend = openMail({ url: guarded.url, sender })
    await friend.send(letter)
    expect(guarded.mails.length).toBe(1)
    for (const one of [stranger, friend, guarded]) await one.close()
  })
})

describe('encryption', () => {
  async function sendTo(target: MailServer, parameters: string): Promise<void> {
    const way = openMail({ url: `${target.url}?${parameters}`, sender, deadlineMs: 2000 })
    try {
      await way.send(letter)
    } finally {
      await way.close()
    }
  }

  test('a server whose certificate nobody vouches for gets nothing, unless told to trust it', async () => {
    const encrypted = await startMailServer({ startTls: true, credentials: 'bureau:right' })
    const [failure] = await failureOf(sendTo(encrypted, ''))
    expect([failure, encrypted.mails.length]).toEqual(['unreachable', 0])
    await sendTo(encrypted, 'tls.rejectUnauthorized=false')
    expect(encrypted.mails.length).toBe(1)
    await encrypted.close()
  })

  test('where it is required, a server without it gets nothing', async () => {
    const [failure] = await failureOf(sendTo(server, 'requireTLS=true'))
    expect([failure, server.mails.length]).toEqual(['unreachable', 0])
  })
})

describe('rest', () => {
  test('nobody is asked for a while once the server could not be reached', async () => {
    const tired = openMail({ url: server.url, sender, restMs: 150, deadlineMs: 1000 })
    expect(tired.isResting()).toBe(false)
    server.trouble('rcpt', 'refuse')
    await failureOf(tired.send(letter))
    expect(tired.isResting()).toBe(false)
    server.trouble('connect', 'drop')
    await failureOf(tired.send(letter))
    expect([tired.isResting(), tired.takeTurn()]).toEqual([true, undefined])
    await eventually(() => expect(tired.isResting()).toBe(false), { withinMs: 2000 })
    await tired.close()
  })

  test('after it one tries alone, and the others once that one was heard', async () => {
    const [first, second] = [mail.takeTurn(), mail.takeTurn()]
    expect([typeof first, typeof second]).toEqual(['function', 'function'])
    first?.()
    second?.()
    server.trouble('connect', 'drop')
    await failureOf(mail.send(letter))
    const alone = mail.takeTurn()
    expect([typeof alone, mail.takeTurn(), mail.isResting()]).toEqual(['function', undefined, true])
    alone?.()
    const next = mail.takeTurn()
    server.wellAgain()
    await mail.send(letter)
    expect(typeof mail.takeTurn()).toBe('function')
    next?.()
  })
})

describe('check', () => {
  test('passes with a server that answers, and warns in a sentence without one', async () => {
    expect(await mail.check()).toEqual({ status: 'pass' })
    await server.close()
    expect(await mail.check()).toEqual({
      status: 'warn',
      output: 'The mail server cannot be reached (ESOCKET).',
    })
  })

  test('passes where none is configured, and says so', async () => {
    const kept = keepMail(sender)
    expect(await kept.check()).toEqual({
      status: 'pass',
      output: 'not configured: mails wait in the outbox',
    })
    expect((await failureOf(kept.send(letter)))[0]).toBe('unreachable')
  })
})

describe('the sender', () => {
  test.each([
    ['office@fairwater.example', { name: '', address: 'office@fairwater.example' }],
    [
      'Fairwater & Co <office@fairwater.example>',
      { name: 'Fairwater & Co', address: 'office@fairwater.example' },
    ],
    [undefined, { name: '', address: 'bureau@desk.example' }],
  ])('%s', (mailFrom, expected) => {
    expect(readSender(mailFrom, 'https://desk.example:8443')).toEqual(expected)
  })
})
