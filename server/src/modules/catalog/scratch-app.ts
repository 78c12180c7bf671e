// temporary harness
import { serve } from '../../http/serve.ts'
import { permissionsOfRole } from '../../kernel/permissions.ts'
import { openPool } from '../../platform/database.ts'
import { createEventRegistry } from '../../platform/events.ts'
import { startInvalidation } from '../../platform/invalidation.ts'
import { createLimits } from '../../platform/limits.ts'
import { createLogger } from '../../platform/log.ts'
import { createSecrets } from '../../platform/secrets.ts'
import { cloneDatabase } from '../../../test/support/database.ts'
import { catalogModule } from './index.ts'

export async function startTestApp(): Promise<any> {
  const database = await cloneDatabase()
  const db = openPool({ url: database.serverUrl, size: 10, namedStatements: true, timeoutMs: 10_000, onError: () => undefined })
  const owner = openPool({ url: database.ownerUrl, size: 2, namedStatements: false, timeoutMs: 60_000, onError: () => undefined })
  const log = createLogger('silent')
  let offset = 0
  const clock = () => new Date(Date.now() + offset)
  const limits = createLimits(db, { scale: 1000, processes: 1, clock })
  const secrets = createSecrets('a key of the test suite with enough characters in it 0123456789')
  const invalidation = await startInvalidation({ db, directUrl: database.serverUrl, log })
  const events = createEventRegistry(catalogModule.events, [], () => undefined)
  const contextFor = (actor: any, origin: any): any => ({ actor, now: clock(), db, origin, events, business: { currency: 'GBP' }, limits, secrets, invalidation, log })
  const authenticator: any = {
    bearer: (token: string) => {
      const [kind, name] = token.split('-') as any
      return kind === 'staff'
        ? { kind: 'staff', userId: 'usr_' + name, sessionId: 'ses_x', role: name, permissions: new Set((permissionsOfRole as any)[name]) }
        : { kind: 'customer', userId: 'usr_' + name, customerId: 'cus_' + name, sessionId: 's' }
    },
    orderToken: async () => ({ kind: 'anonymous' }),
  }
  const http = await serve({ endpoints: catalogModule.endpoints, authenticator, contextFor, limits, log, clock,
    settings: { requestTimeoutMs: 20000, allowedOrigins: [], trustProxy: false, errorDetail: true, secureCookies: false } } as any)
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  return {
    url, db, database, app: { events },
    advance: (ms: number) => void (offset += ms),
    sql: async (text: string, values: any[] = []) => (await owner.driver.query(text, values)).rows,
    as: async (role: string) => `staff-${role}`,
    asCustomer: async (name: string) => ({ token: `customer-${name}` }),
    systemContext: () => contextFor({ kind: 'system', task: 'test' }, { requestId: 'test', address: undefined, lease: null }),
    request: async (route: string, { token, body, headers }: any = {}) => {
      const [method, path] = route.split(' ')
      const r = await fetch(url + path, { method: method!, headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      const text = await r.text()
      return { status: r.status, headers: r.headers, body: /json/.test(r.headers.get('content-type') ?? '') && text ? JSON.parse(text) : text }
    },
    close: async () => { await http.close(); await invalidation.stop(); await owner.close(); await db.close(); await database.drop() },
  }
}
