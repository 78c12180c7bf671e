import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startMailServer, type MailServer, type ReceivedMail } from '../support/mail-server.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../support/process.ts'
import { openShell } from '../support/shell.ts'

const repository = path.resolve(import.meta.dirname, '../../..')

/** The commands that a page shows, block by block: what it says to type is what is run. */
async function blocksOf(page: string, bureau: Running): Promise<string[]> {
  const text = await readFile(path.join(repository, page), 'utf8')
  const blocks = [...text.matchAll(/^```bash\n(.*?)^```/gms)].map(([, block = '']) => block)
  expect(blocks.length).toBeGreaterThan(0)
  return blocks.map((block) => block.replaceAll(/(http:\/\/)?localhost:3000/g, bureau.url))
}

describe('README.md', () => {
  let bureau: Running
  beforeAll(async () => {
    bureau = await startBureau({ DATA_DIR: await makeFolder() })
  }, startTimeoutMs)
  afterAll(cleanUp, startTimeoutMs)

  test('buys a service with the command that it shows, and shows its reply', async () => {
    const shell = openShell(await makeFolder())
    const [command = ''] = await blocksOf('README.md', bureau)
    const reply = JSON.parse(await shell.run(command)) as object
    await shell.close()
    expect(reply).toMatchObject({
      order: { status: 'confirmed', paymentStatus: 'paid', case: { status: 'new' } },
      payment: { status: 'succeeded' },
    })
    const page = await readFile(path.join(repository, 'README.md'), 'utf8')
    const [, shown = ''] = /^```json\n(.*?)^```/ms.exec(page) ?? []
    expect(shapeOf(reply)).toMatchObject(shapeOf(JSON.parse(shown)))
  })

  test('is watched as docs/guides/operations.md shows it', async () => {
    const shell = openShell(await makeFolder())
    const [probes = ''] = await blocksOf('docs/guides/operations.md', bureau)
    const printed = await shell.run(probes)
    await shell.close()
    expect(printed.match(/"status":"pass"/g)).toHaveLength(3)
  })
})

describe('docs/guides/backup.md', () => {
  afterAll(cleanUp, startTimeoutMs)

  test(
    'backs up a Bureau that serves, and brings all of it back elsewhere',
    async () => {
      const dataDir = await makeFolder()
      const bureau = await startBureau({ DATA_DIR: dataDir })
      const folder = await makeFolder()
      const shell = openShell(folder)
      const program = path.join(repository, 'server/dist/cli.js')
      await shell.run(`export DATA_DIR=${dataDir}`)
      const blocks = await blocksOf('docs/guides/backup.md', bureau)
      const printed: string[] = []
      for (const block of blocks) {
        printed.push(await shell.run(block.replaceAll('server/dist/cli.js', program)))
      }
      const [examined, made, compared, restored] = printed
      expect(printed).toHaveLength(4)
      expect(examined).toMatch(/^ok {3}· migrations · \d+ migrations$/m)
      expect(made).toMatch(/^backups\/bureau-\d{8}T\d{6}Z$/m)
      expect(compared).toBe('')
      expect(restored).toContain('The business is as it was then')
      const before = await shell.run(`cd ${dataDir}/documents && find kept -type f | sort`)
      const after = await shell.run(`cd ${folder}/restored/documents && find kept -type f | sort`)
      expect(before).toContain('kept/')
      expect(after).toBe(before)
      await shell.close()
    },
    startTimeoutMs,
  )
})

/** What each block of the page prints, and the subjects of the mails that follow it. */
const lifeOfAnOrder: readonly { prints: readonly unknown[]; mails: readonly RegExp[] }[] = [
  { prints: [], mails: [] },
  { prints: [], mails: [] },
  {
    prints: ['insufficient_funds'],
    mails: [/^Welcome to /, /confirm your e-mail/, /^We have received your order B-/],
  },
  {
    prints: ['"paymentStatus":"paid"', expect.stringMatching(/^B-\d+$/)],
    mails: [/^Payment received for order B-/, /^Work on your order B-\d+ has begun/],
  },
  { prints: ['waiting_customer'], mails: [/^New message about C-/] },
  { prints: ['open'], mails: [] },
  { prints: ['Class 9: calculating machines', 'accepted', 'in_progress'], mails: [] },
  { prints: ['resolved', 'completed'], mails: [/^Resolved: C-/] },
  {
    prints: [
      'welcome',
      'verify_email',
      'order_received',
      'payment_confirmed',
      'case_opened',
      'staff_replied',
      'case_resolved',
    ],
    mails: [],
  },
]

describe('docs/guides/first-order.md', () => {
  let bureau: Running
  let mailServer: MailServer
  beforeAll(async () => {
    mailServer = await startMailServer()
    bureau = await startBureau({
      DATA_DIR: await makeFolder(),
      ADMIN_EMAIL: 'owner@example.com',
      ADMIN_PASSWORD: 'seven quiet otters',
      SMTP_URL: mailServer.url,
      MAIL_FROM: 'Office <office@example.com>',
    })
  }, startTimeoutMs)
  afterAll(async () => {
    await cleanUp()
    await mailServer.close()
  }, startTimeoutMs)

  test(
    'leads an order from the empty shelf to its completion, and each mail to its reader',
    async () => {
      const blocks = await blocksOf('docs/guides/first-order.md', bureau)
      expect(blocks.length).toBe(lifeOfAnOrder.length)
      const shell = openShell(await makeFolder())
      const received = (): ReceivedMail[] =>
        mailServer.mails.filter(({ to }) => to.includes('ada@example.com'))
      let seen = 0
      for (const [index, { prints, mails }] of lifeOfAnOrder.entries()) {
        const printed = (await shell.run(blocks[index] ?? '')).split('\n').filter(Boolean)
        // Mails of one moment may be queued in either order.
        expect(printed).toEqual(expect.arrayContaining([...prints]))
        expect(printed).toHaveLength(prints.length)
        await eventually(() => {
          const subjects = received()
            .slice(seen)
            .map(({ parsed }) => parsed.subject)
          expect(subjects).toHaveLength(mails.length)
          for (const mail of mails) expect(subjects).toContainEqual(expect.stringMatching(mail))
        })
        seen += mails.length
      }
      await shell.close()
      expect(received()).toHaveLength(seen)
      for (const { from, to, parsed, raw } of received()) {
        expect([from, to]).toEqual(['office@example.com', ['ada@example.com']])
        expect(parsed.text).toContain('Ada Lovelace')
        expect(raw).not.toContain('Classes 9 and 42')
      }
    },
    startTimeoutMs,
  )
})

/** The same with each id, number, token and time as its type: what differs from run to run. */
function shapeOf(value: unknown): object {
  return JSON.parse(
    JSON.stringify(value, (key, member: unknown) =>
      /^(id|number|orderToken|clientSecret|providerRef|createdAt)$/.test(key)
        ? typeof member
        : member,
    ),
  ) as object
}
