import { createRequire } from 'node:module'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, vi } from 'vitest'
import { createSetupToken, inviteStaff, issueMailToken } from '../../src/modules/identity/index.ts'
import type { MailPurpose } from '../../src/modules/identity/index.ts'
import { findPasswordFault } from '../../src/modules/identity/rules.ts'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { promise } from './promise.ts'

const list = createRequire(import.meta.url)('popular-passwords') as readonly string[]

let app: TestApp
/** How many passwords were handed over to be hashed or compared. */
let hashed = 0

beforeAll(async () => {
  app = await startTestApp()
  const { passwords } = app.ports
  for (const verb of ['hash', 'verify'] as const) {
    const original = passwords[verb] as (...given: string[]) => Promise<never>
    vi.spyOn(passwords, verb).mockImplementation((...given: (string | null)[]) => {
      hashed += 1
      return original(...(given as string[]))
    })
  }
}, 120_000)
beforeEach(() => {
  hashed = 0
})
afterAll(async () => {
  vi.restoreAllMocks()
  await app.close()
})

let people = 0

function newEmail(): string {
  return `person${(people += 1)}@passwords.example`
}

async function register(password: string, email = newEmail()): Promise<Reply> {
  const body = { email, password, name: 'Ada Lovelace' }
  return await app.request('POST /api/auth/register', { body })
}

async function signIn(email: string, password: string): Promise<number> {
  return (await app.request('POST /api/auth/login', { body: { email, password } })).status
}

/** Each door by which a password comes to be, standing open, with where the password goes. */
const doors: Readonly<Record<string, () => Promise<(password: string) => Promise<Reply>>>> = {
  'POST /api/auth/register': async () => async (password) => await register(password),
  'POST /api/auth/password/change': async () => {
    const { body } = await register(testPassword)
    return async (newPassword) =>
      await app.request('POST /api/auth/password/change', {
        token: body.accessToken,
        body: { currentPassword: testPassword, newPassword },
      })
  },
  'POST /api/auth/password/reset': async () => {
    const { body } = await register(testPassword)
    const token = await mailed(body.user.id, 'password_reset')
    return async (password) =>
      await app.request('POST /api/auth/password/reset', { body: { token, password } })
  },
  'POST /api/auth/email/verify': async () => {
    const { body } = await register(testPassword)
    const token = await mailed(body.user.id, 'verify_email')
    return async (password) =>
      await app.request('POST /api/auth/email/verify', { body: { token, password } })
  },
  'POST /api/auth/admin/setup': async () => {
    const token = await createSetupToken(app.systemContext())
    return async (password) =>
      await app.request('POST /api/auth/admin/setup', {
        body: { token, email: newEmail(), name: 'Sam', password },
      })
  },
  'POST /api/auth/password/reset for an invitation': async () => {
    const details = { email: newEmail(), name: 'Kim', role: 'agent' } as const
    const { id } = await inviteStaff(app.systemContext(), details)
    const token = await mailed(id, 'staff_invitation')
    return async (password) =>
      await app.request('POST /api/auth/password/reset', { body: { token, password } })
  },
}

async function mailed(userId: string, purpose: MailPurpose): Promise<string | undefined> {
  const given = { userId: userId as never, purpose }
  return (await issueMailToken(app.systemContext(), given))?.token
}

/** Those that compare a password and set none. */
const comparing = ['/api/auth/login', '/api/auth/admin/login', '/api/auth/admin/mfa/disable']

const memberNames = ({ properties = {} }: { properties?: object }): string[] =>
  Object.keys(properties)

const takesPassword = modules
  .flatMap((module) => module.endpoints)
  .filter(({ contract }) =>
    memberNames(contract.body ?? {}).some((member) => /password$/i.test(member)),
  )
  .map(({ method, path }) => `${method} ${path}`)

/** So many characters, each another one, of four bytes each. */
const owls = (count: number): string =>
  String.fromCodePoint(...Array.from({ length: count }, (_, at) => 0x1f400 + at))

const accepted: Readonly<Record<string, string>> = {
  'twelve small letters': 'violetteapot',
  'digits alone': '740295183640',
  'spaces within': 'a b c d e f h',
  '64 characters': `${'violet teapot on the moor, '.repeat(3).slice(0, 62)} z`,
  '128 characters': `${'qzj4 '.repeat(25)}end`,
  'twelve characters of four bytes': owls(12),
  '128 characters of four bytes': owls(128),
  'Cyrillic letters': 'сиреневый чайник',
  'Han characters': '荒野上的紫色茶壶唱着古老的歌',
  '128 characters typed as 256':
    'é'.repeat(3).normalize('NFD') + 'àêïõü'.normalize('NFD').repeat(25),
}

const refused: Readonly<Record<string, readonly [string, string]>> = {
  'eleven characters': ['violetteapo', 'minLength'],
  'eleven characters typed as twelve': ['violetteap\u006f\u0308', 'too_short'],
  '129 characters': [`${'qzj4 '.repeat(25)}ends`, 'too_long'],
}

promise(
  49,
  'what is stored is Argon2id with 19 MiB, two passes and a salt of its own',
  async (proof) => {
    expect(new Set(Object.keys(doors).map((door) => door.split(' for ')[0]))).toEqual(
      new Set(
        takesPassword.filter((route) => !comparing.some((path) => route.endsWith(` ${path}`))),
      ),
    )
    for (const [door, open] of Object.entries(doors)) {
      const enter = await open()
      const reply = await enter(owls(30))
      expect([door, reply.status < 300], JSON.stringify(reply.body)).toEqual([door, true])
    }
    const rows = await app.sql('select password_hash from users')
    const hashes = rows.map(({ password_hash: hash }) => String(hash))
    for (const hash of hashes) {
      const [, id, version, parameters = '', salt = '', digest = ''] = hash.split('$')
      const [memory, passes, lanes] = parameters.split(',').map((part) => Number(part.slice(2)))
      expect([id, version]).toEqual(['argon2id', 'v=19'])
      expect(memory).toBeGreaterThanOrEqual(19 * 1024)
      expect(passes).toBeGreaterThanOrEqual(2)
      expect(lanes).toBe(1)
      expect(Buffer.from(salt, 'base64').length).toBeGreaterThanOrEqual(16)
      expect(Buffer.from(digest, 'base64').length).toBeGreaterThanOrEqual(32)
    }
    expect(new Set(hashes).size).toBe(hashes.length)
    proof.measured(`${hashes.length} rows by ${Object.keys(doors).length} doors, m=19456 t=2 p=1`)
  },
)

promise(
  49,
  'any characters do, 12 to 128 of them, and nothing asks for a mixture',
  async (proof) => {
    for (const [name, password] of Object.entries(accepted)) {
      const email = newEmail()
      const reply = await register(password, email)
      expect([name, reply.status], JSON.stringify(reply.body)).toEqual([name, 201])
      expect([name, await signIn(email, password)]).toEqual([name, 200])
    }
    for (const [name, [password, code]] of Object.entries(refused)) {
      const { status, body } = await register(password)
      expect([name, status, body.errors?.[0]]).toMatchObject([
        name,
        400,
        { pointer: '/password', code },
      ])
    }
    proof.measured(`${Object.keys(accepted).length} kinds taken, 11 and 129 characters refused`)
  },
)

promise(49, 'a password counts to its last character, in either form of Unicode', async (proof) => {
  const letters = fc.string({
    unit: fc.constantFrom('a', 'b', 'c', 'é', '荒', '🦉'),
    minLength: 80,
    maxLength: 110,
  })
  let pairs = 0
  await fc.assert(
    fc.asyncProperty(letters, fc.constantFrom('ß', 'x', '\u{1f989}'), async (text, end) => {
      const email = newEmail()
      expect((await register(`${text}${end}`.normalize('NFC'), email)).status).toBe(201)
      expect(await signIn(email, `${text}${end}`.normalize('NFD'))).toBe(200)
      for (const other of [text, `${text}y`, `${text}${end} `, ` ${text}${end}`]) {
        expect(await signIn(email, other)).toBe(401)
        pairs += 1
      }
    }),
    { seed: proof.seed, numRuns: 4 },
  )
  proof.measured(`${pairs} passwords that differ beyond 72 bytes, all told apart`)
})

promise(49, 'what leaked lists lead with is refused at every door', async (proof) => {
  const owner = { email: 'ada@customer.example', name: 'Ada', publicUrl: 'http://localhost:3000' }
  const isCommon = (text: string): boolean => app.ports.passwords.isCommon(text)
  const long = list.filter((text) => Array.from(text.normalize('NFC')).length >= 12)
  expect(long.length).toBeGreaterThanOrEqual(3000)
  const passed = list.flatMap((text) =>
    [text, text.toUpperCase(), `${text}2026!`]
      // Digits and signs around a word are taken off it, and not around what is no word.
      .filter((given) => /^\p{L}+$/u.test(text) || !given.endsWith('2026!'))
      .filter((given) => findPasswordFault(given, owner, isCommon) === undefined),
  )
  expect(passed).toEqual([])
  for (const [door, open] of Object.entries(doors)) {
    if (door === 'POST /api/auth/admin/setup') continue
    const enter = await open()
    hashed = 0
    for (let round = 0; round < 5; round += 1) {
      const { status, body } = await enter(long[Math.floor(proof.random() * long.length)] ?? '')
      expect([door, status, body.errors[0].code]).toEqual([door, 400, 'common'])
    }
    expect([door, hashed <= (/change|verify/.test(door) ? 5 : 0)]).toEqual([door, true])
  }
  proof.measured(`${list.length} passwords of the list, ${long.length} of 12 characters or more`)
})

promise(51, 'a password of a megabyte is refused without being hashed', async (proof) => {
  const { body } = await register(testPassword)
  const tokens = { customer: body.accessToken, staff: await app.as('agent') }
  hashed = 0
  let asked = 0
  for (const route of takesPassword) {
    const member = route.includes('change') ? 'newPassword' : 'password'
    for (const [size, expected] of [
      [1000, 400],
      [1024 * 1024 - 300, 400],
      [2 * 1024 * 1024, 413],
    ] as const) {
      const reply = await app.request(route as `POST /${string}`, {
        body: { email: 'ada@customer.example', [member]: 'p'.repeat(size) },
        ...(route.includes('change') ? { token: tokens.customer } : {}),
        ...(route.includes('mfa') ? { token: tokens.staff } : {}),
      })
      expect([route, size, reply.status]).toEqual([route, size, expected])
      const lengths = reply.body.errors?.filter(
        ({ pointer }: { pointer: string }) => pointer === `/${member}`,
      )
      if (expected === 400) expect([route, lengths]).toMatchObject([route, [{ code: 'maxLength' }]])
      asked += 1
    }
  }
  expect(hashed).toBe(0)
  proof.measured(`${asked} requests, 0 hashes`)
})
