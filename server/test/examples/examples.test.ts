import { Ajv } from 'ajv'
import addFormatsModule from 'ajv-formats'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { replySchemaOf } from '../../src/http/compile.ts'
import { sendsFile } from '../../src/http/download.ts'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { replyExampleOf } from '../../src/http/openapi.ts'
import { createSetupToken } from '../../src/modules/identity/index.ts'
import { modules } from '../../src/modules/index.ts'
import { openMail } from '../../src/platform/mail.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'
import { exampleFile, formOf, prepareBusiness, type PreparedBusiness } from './prepared-business.ts'
import { scenes, type Scene } from './scenes.ts'

/**
 * Every example of the documentation is sent as it stands, in a business where what it talks about
 * exists; only ids, numbers and secrets are put in. The answer must have the documented status, fit
 * the schema, and have every member that the example shows.
 */
const endpoints = modules.flatMap((module) => module.endpoints)
const nameOf = ({ method, path }: Endpoint): string => `${method} ${path}`

let mailServer: MailServer
let app: TestApp
let business: PreparedBusiness
let setUp: Reply

beforeAll(async () => {
  mailServer = await startMailServer()
  const sender = { name: 'Office', address: 'office@example.com' }
  app = await startTestApp({ mail: openMail({ url: mailServer.url, sender }) })
  setUp = await becomeFirstAdmin()
  business = await prepareBusiness(app, mailServer)
})
afterAll(async () => {
  await app.close()
  await mailServer.close()
})

describe('the examples of the documentation', () => {
  const ajv = new Ajv({ strict: false, allErrors: true })
  addFormatsModule.default(ajv, ['date-time', 'email', 'uri'])

  test.each(endpoints.map((endpoint) => [nameOf(endpoint), endpoint] as const))(
    '%s',
    async (name, endpoint) => {
      const scene = await sceneOf(name, endpoint)
      const { status, body } = scene.reply ?? (await play(endpoint, scene))
      const expected = endpoint.contract.status ?? 200
      expect(status, JSON.stringify(body)).toBe(expected)
      if (expected === 204) return
      if (sendsFile(endpoint.contract)) return expect(body).toBe(await exampleFile.text())
      const validate = ajv.compile(replySchemaOf(endpoint.contract))
      expect(validate(body), ajv.errorsText(validate.errors)).toBe(true)
      if (endpoint.contract.list && !scene.mayBeEmpty) expect(body.data).not.toEqual([])
      expect(missingFrom(body, replyExampleOf(endpoint))).toEqual([])
    },
  )

  test('have no scene without an example', () => {
    const names = endpoints.map((endpoint) => nameOf(endpoint))
    expect(Object.keys(scenes).filter((name) => !names.includes(name))).toEqual([])
  })
})

const settingUp = 'POST /api/auth/admin/setup'

/** Possible only while there is no staff: the example is played before anything else. */
async function becomeFirstAdmin(): Promise<Reply> {
  const endpoint = endpoints.find((one) => nameOf(one) === settingUp)
  if (!endpoint) throw new Error(`There is no ${settingUp}`)
  const { token } = endpoint.contract.example.body as { token: string }
  const made = (await createSetupToken(app.systemContext())) ?? ''
  return await play(endpoint, { stands: { [token]: made } })
}

/** What the scene does not say: who calls, and a new thing for each id of the example. */
async function sceneOf(name: string, endpoint: Endpoint): Promise<Scene> {
  if (name === settingUp) return { reply: setUp }
  const { reply: _reply, ...request } = endpoint.contract.example
  const own: Scene = (await scenes[name]?.(business)) ?? callerOf(endpoint)
  const stands: Record<string, string> = { ...own.stands }
  for (const text of textsIn(request)) {
    const make = makers.find(({ pattern }) => pattern.test(text))
    if (make && !(text in stands)) Object.assign(stands, { [text]: await make.thing(business) })
  }
  return { ...own, stands }
}

/** The usual caller of all that is not public; who else may call is tested elsewhere. */
function callerOf({ contract: { access } }: Endpoint): Scene {
  return access === 'public' ? {} : { token: business.admin }
}

/** By its prefix: what an id of an example stands for. */
const makers: readonly {
  readonly pattern: RegExp
  readonly thing: (business: PreparedBusiness) => Promise<string>
}[] = [
  { pattern: /^[0-9a-z]{32}$/, thing: (business) => business.document() },
  { pattern: /^cat_\w+$/, thing: (business) => business.category() },
  { pattern: /^svc_\w+$/, thing: (business) => business.service() },
  { pattern: /^cus_\w+$/, thing: async ({ customer }) => (await customer()).customerId ?? '' },
  { pattern: /^usr_\w+$/, thing: async ({ colleague }) => (await colleague()).userId },
  { pattern: /^ord_\w+$/, thing: async ({ paidOrder }) => (await paidOrder()).id },
  { pattern: /^B-\d+$/, thing: async ({ paidOrder }) => (await paidOrder()).number },
  { pattern: /^case_\w+$/, thing: async ({ paidOrder }) => (await paidOrder()).caseId ?? '' },
  { pattern: /^C-\d+$/, thing: async ({ paidOrder }) => (await paidOrder()).caseNumber ?? '' },
]

/** Sends the example, with what stands for its texts. */
async function play({ method, path, contract }: Endpoint, scene: Scene): Promise<Reply> {
  const { stands = {}, reply: _reply, mayBeEmpty: _mayBeEmpty, ...sent } = scene
  const { params = {}, query = {}, body } = replaceTexts(contract.example, stands)
  const address = path
    .slice(1)
    .replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  const search = new URLSearchParams(query).toString()
  const route = `${method} /${address}${search === '' ? '' : `?${search}`}` as const
  if (contract.upload) {
    const form = await formOf(body as Readonly<Record<string, string>>, exampleFile)
    return await app.request(route, { ...sent, ...form })
  }
  return await app.request(route, body === undefined || sent.rawBody ? sent : { ...sent, body })
}

function replaceTexts<T>(value: T, stands: Readonly<Record<string, string>>): T {
  return JSON.parse(JSON.stringify(value), (_key, member: unknown) =>
    typeof member === 'string' ? (stands[member] ?? member) : member,
  ) as T
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap((member) => textsIn(member))
}

/** Free data, such as the answers of a buyer, is only an example of what may be there. */
const freeData = /\/(answers|data|dataSchema|metadata)$/

/** What the example shows and the reply lacks, or has as something else; null stands for any. */
function missingFrom(actual: unknown, shown: unknown, at = ''): string[] {
  if (actual === null || shown === null) return []
  if (Array.isArray(shown) && Array.isArray(actual)) {
    const areBoth = shown.length > 0 && actual.length > 0
    return areBoth ? missingFrom(actual[0], shown[0], `${at}/0`) : []
  }
  if (typeof actual !== typeof shown || Array.isArray(actual) !== Array.isArray(shown)) {
    return [`${at} is ${JSON.stringify(actual)}`]
  }
  if (typeof shown !== 'object' || freeData.test(at)) return []
  const reply = actual as Readonly<Record<string, unknown>>
  return Object.entries(shown).flatMap(([key, member]) =>
    key in reply ? missingFrom(reply[key], member, `${at}/${key}`) : [`${at}/${key} is missing`],
  )
}
