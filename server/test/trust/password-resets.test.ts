import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import { minuteMs } from '../../src/kernel/time.ts'
import { issueMailToken } from '../../src/modules/identity/index.ts'
import { openMail } from '../../src/platform/mail.ts'
import { createLogger } from '../../src/platform/log.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { tablesHolding } from '../support/database-rows.ts'
import { eventually } from '../support/eventually.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'
import { sendRaw } from '../support/wire.ts'
import { promise } from './promise.ts'

let mailServer: MailServer
/** It believes the proxy before it, which says `X-Forwarded-Host` too. */
let app: TestApp
let node: TestApp

beforeAll(async () => {
  mailServer = await startMailServer()
  const mail = openMail({ url: mailServer.url, from: 'Office <office@bureau.example>' } as never)
  app = await startTestApp({ mail, trustProxy: ['127.0.0.1'] })
  node = await startTestApp({ beside: app })
})
afterAll(async () => {
  await node.close()
  await app.close()
  await mailServer.close()
})

const publicUrl = 'http://localhost:3000'

async function reset(token: string, password: string, at: TestApp = app): Promise<Reply> {
  return await at.request('POST /api/auth/password/reset', { body: { token, password } })
}
