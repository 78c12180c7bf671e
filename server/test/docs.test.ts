import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from './support/process.ts'

const repository = path.resolve(import.meta.dirname, '../..')

/** The commands that a page shows, as one script: what it says to type is what is run. */
async function scriptOf(page: string, bureau: Running): Promise<string> {
  const text = await readFile(path.join(repository, page), 'utf8')
  const blocks = [...text.matchAll(/^```bash\n(.*?)^```/gms)].map(([, block = '']) => block)
  expect(blocks.length).toBeGreaterThan(0)
  return blocks.join('\n').replaceAll(/(http:\/\/)?localhost:3000/g, bureau.url)
}

async function runScript(script: string): Promise<string> {
  const cwd = await makeFolder()
  const { stdout } = await promisify(execFile)('bash', ['-eu', '-o', 'pipefail', '-c', script], {
    cwd,
  })
  return stdout
}

describe('the pages for newcomers', () => {
  let bureau: Running
  beforeAll(async () => {
    bureau = await startBureau({
      DATA_DIR: await makeFolder(),
      ADMIN_EMAIL: 'owner@example.com',
      ADMIN_PASSWORD: 'seven quiet otters',
    })
  }, startTimeoutMs)
  afterAll(cleanUp, startTimeoutMs)

  test('README.md buys a service with the command that it shows, and shows its reply', async () => {
    const reply = JSON.parse(await runScript(await scriptOf('README.md', bureau))) as object
    expect(reply).toMatchObject({
      order: { status: 'confirmed', paymentStatus: 'paid', case: { status: 'new' } },
      payment: { status: 'succeeded' },
    })
    const page = await readFile(path.join(repository, 'README.md'), 'utf8')
    const [, shown = ''] = /^```json\n(.*?)^```/ms.exec(page) ?? []
    expect(shapeOf(reply)).toMatchObject(shapeOf(JSON.parse(shown)))
  })

  test('docs/guides/first-order.md leads from the empty shelf to the open case', async () => {
    const printed = await runScript(await scriptOf('docs/guides/first-order.md', bureau))
    expect(printed.trim().split('\n')).toEqual([
      'insufficient_funds',
      '"paymentStatus":"paid"',
      expect.stringMatching(/^B-\d+$/),
      'new',
    ])
  })
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
