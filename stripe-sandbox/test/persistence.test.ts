import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Stripe } from 'stripe'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox } from '../src/index.ts'
import { openJournal } from '../src/journal.ts'
import { createStore } from '../src/store.ts'
import { CARD_PAYMENT, clientOf, startReceiver, withSandbox } from './support.ts'

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url))
/** Inside the workspace, so that its dependencies are found from there. */
const BUILD = fileURLToPath(new URL(`../dist/test-${process.pid}/`, import.meta.url))

let folder: string
let files = 0
const newStateFile = () => join(folder, `state-${(files += 1)}.jsonl`)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sandbox-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  rmSync(BUILD, { recursive: true, force: true })
})

const PAID = { ...CARD_PAYMENT, confirm: true, payment_method: 'pm_card_visa' } as const

describe('the state file', () => {
  it('brings back payments, kept answers, sessions and bank debits under way', async () => {
    const stateFile = newStateFile()
    const receiver = await startReceiver()
    const before = await withSandbox({ stateFile }, async (_sandbox, stripe) => ({
      intent: await stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' }),
      debit: await stripe.paymentIntents.create({
        ...PAID,
        payment_method: 'pm_bacsDebit_success',
      }),
      session: await stripe.checkout.sessions.create({
        mode: 'payment',
        success_url: 'https://shop.example/',
        line_items: [
          {
            price_data: { currency: 'gbp', product_data: { name: 'A' }, unit_amount: 500 },
            quantity: 1,
          },
        ],
      }),
    }))
    expect(statSync(stateFile).mode & 0o777).toBe(0o600)
    await withSandbox({ stateFile }, async (sandbox, stripe) => {
      const again = await stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' })
      expect(again.lastResponse.headers['idempotent-replayed']).toBe('true')
      expect(again.id).toBe(before.intent.id)
      expect(sandbox.settlePayment(before.debit.id).status).toBe('succeeded')
      expect(sandbox.paySession(before.session.id).status).toBe('succeeded')
      const listed = await stripe.paymentIntents.list()
      expect(listed.data.slice(1).map(({ id }) => id)).toEqual([before.debit.id, before.intent.id])
    })
    await receiver.close()
  })

  it('keeps events that the webhook has not taken yet', async () => {
    const stateFile = newStateFile()
    const gone = { stateFile, webhookUrl: 'http://127.0.0.1:9/', webhookSecrets: ['whsec_1'] }
    await withSandbox(gone, (_sandbox, stripe) => stripe.customers.create({ name: 'A' }))
    const receiver = await startReceiver()
    await withSandbox({ ...gone, webhookUrl: receiver.url }, async (sandbox) => {
      await sandbox.webhooksSettled()
      expect(receiver.received.map(({ event }) => event.type)).toEqual(['customer.created'])
    })
    await receiver.close()
  })

  it('is read up to a torn last line, which is cut off', async () => {
    const stateFile = newStateFile()
    await withSandbox({ stateFile }, (_sandbox, stripe) => stripe.customers.create({ name: 'A' }))
    const whole = readFileSync(stateFile, 'utf8')
    appendFileSync(stateFile, whole.slice(0, 50))
    await withSandbox({ stateFile }, async (sandbox, stripe) => {
      expect(sandbox.counts().customer).toBe(1)
      await stripe.customers.create({ name: 'B' })
    })
    await withSandbox({ stateFile }, (sandbox) => {
      expect(sandbox.counts().customer).toBe(2)
      return Promise.resolve()
    })
  })

  it('is refused with a clear sentence when it is damaged or not a state file', async () => {
    for (const content of ['nonsense\n', '{"a":1}\n']) {
      const stateFile = newStateFile()
      writeFileSync(stateFile, content)
      await expect(startSandbox({ port: 0, stateFile })).rejects.toThrow(/The state file .+ is/)
    }
  })

  it('is compacted to what still stands, while more is written', async () => {
    const stateFile = newStateFile()
    const journal = openJournal(stateFile, 1000)
    const store = createStore(journal)
    for (let count = 0; count < 200; count += 1) {
      store.transact(() => store.put('charge_key', { id: `ch_${count % 10}`, key: `key_${count}` }))
    }
    const grown = statSync(stateFile).size
    const compacting = journal.compactWhenGrown(() => store.snapshot())
    store.transact(() => store.put('charge_key', { id: 'ch_meanwhile', key: null }))
    await compacting
    expect(statSync(stateFile).size).toBeLessThan(grown / 5)
    store.transact(() => store.put('charge_key', { id: 'ch_later', key: null }))
    journal.close()
    const reopened = createStore(openJournal(stateFile))
    expect(reopened.count('charge_key')).toBe(12)
    expect(reopened.find('charge_key', 'ch_3')?.key).toBe('key_193')
  })

  it('undoes a transaction that ends in an accident', () => {
    const store = createStore(openJournal(newStateFile()))
    store.transact(() => store.put('charge_key', { id: 'ch_1', key: 'a' }))
    expect(() =>
      store.transact(() => {
        store.put('charge_key', { id: 'ch_1', key: 'b' })
        store.put('charge_key', { id: 'ch_2', key: 'c' })
        throw new Error('accident')
      }),
    ).toThrow('accident')
    expect(store.find('charge_key', 'ch_1')?.key).toBe('a')
    expect(store.count('charge_key')).toBe(1)
  })
})

describe('after kill -9', () => {
  beforeAll(buildSource)

  it('no acknowledged payment is lost and no key pays twice', { timeout: 30_000 }, async () => {
    const stateFile = newStateFile()
    const acknowledged = new Map<string, string>()
    for (let round = 0; round < 3; round += 1) {
      const child = await startChild(stateFile)
      const stripe = clientOf(child)
      for (const [key, id] of acknowledged) {
        const again = await stripe.paymentIntents.create(PAID, { idempotencyKey: key })
        expect(again.id).toBe(id)
      }
      await payUntilKilled(child, acknowledged, round)
    }
    expect(acknowledged.size).toBeGreaterThan(10)
    await withSandbox({ stateFile }, (sandbox) => {
      expect(sandbox.audit().doubleCharges).toEqual([])
      expect(sandbox.counts().charge).toBeGreaterThanOrEqual(acknowledged.size)
      expect(sandbox.counts().charge).toBe(sandbox.counts().kept_answer)
      return Promise.resolve()
    })
  })
})

interface Child {
  process: ChildProcess
  port: number
}

async function startChild(stateFile: string): Promise<Child> {
  const child = spawn(
    process.execPath,
    [join(BUILD, 'main.js'), '--port', '0', '--state', stateFile],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  for await (const line of createInterface({ input: child.stdout })) {
    return { process: child, port: Number(/:(\d+)$/.exec(line)?.[1]) }
  }
  throw new Error('The sandbox ended before it listened.')
}

/** Pays with four clients at once and kills the process in the middle of it. */
async function payUntilKilled(
  child: Child,
  acknowledged: Map<string, string>,
  round: number,
): Promise<void> {
  const stripe = clientOf(child)
  const exited = once(child.process, 'exit')
  let paid = 0
  const lane = async (name: number) => {
    for (let count = 0; ; count += 1) {
      const key = `pay_${round}_${name}_${count}:create:1`
      try {
        const intent = await stripe.paymentIntents.create(PAID, { idempotencyKey: key })
        acknowledged.set(key, intent.id)
      } catch (error) {
        if (error instanceof Stripe.errors.StripeConnectionError) return
        throw error
      }
      paid += 1
      if (paid === 10) child.process.kill('SIGKILL')
    }
  }
  await Promise.all([lane(0), lane(1), lane(2), lane(3)])
  await exited
}

/** Node cannot run the sources as they are before version 22. */
function buildSource(): void {
  mkdirSync(BUILD, { recursive: true })
  for (const name of readdirSync(SOURCE).filter((file) => file.endsWith('.ts'))) {
    const { outputText } = ts.transpileModule(readFileSync(join(SOURCE, name), 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
      },
    })
    writeFileSync(join(BUILD, name.replace(/\.ts$/, '.js')), outputText)
  }
}
