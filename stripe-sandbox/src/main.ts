import { parseArgs } from 'node:util'
import { startSandbox, type SandboxOptions } from './sandbox.ts'

const USAGE = `Runs the Stripe sandbox on loopback until it is interrupted.

  --port <number>          the port, 12111 unless told; 0 for any free one
  --state <file>           keep the state in this file; otherwise it is lost at the end
  --webhook <url>          where to send events
  --webhook-secret <text>  signs the events; may be repeated; whsec_sandbox unless told
  --secret-key <text>      the one API key to accept; any sk_test_… unless told
  --settle-after <ms>      let bank debits settle by themselves after this time
  --record <file>          append every exchange of the API to this file
  --help                   show this
`

const DEFAULT_PORT = '12111'
const DEFAULT_WEBHOOK_SECRET = 'whsec_sandbox'

async function main(): Promise<void> {
  const options = readOptions()
  if (options === undefined) return
  const sandbox = await startSandbox(options)
  process.stdout.write(`Stripe sandbox on ${sandbox.url}\n`)
  const stop = () => {
    sandbox.close().catch(fail)
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
}

/** The options of the command line, or undefined when only help was asked for. */
function readOptions(): SandboxOptions | undefined {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', default: false },
      port: { type: 'string', default: DEFAULT_PORT },
      record: { type: 'string' },
      'secret-key': { type: 'string' },
      'settle-after': { type: 'string' },
      state: { type: 'string' },
      webhook: { type: 'string' },
      'webhook-secret': { type: 'string', multiple: true, default: [DEFAULT_WEBHOOK_SECRET] },
    },
  })
  if (values.help) {
    process.stdout.write(USAGE)
    return undefined
  }
  const settleAfter = values['settle-after']
  return {
    port: readWholeNumber('--port', values.port, 65_535),
    webhookSecrets: values['webhook-secret'],
    ...(values.record === undefined ? {} : { recordFile: values.record }),
    ...(values['secret-key'] === undefined ? {} : { secretKey: values['secret-key'] }),
    ...(settleAfter === undefined
      ? {}
      : { settleAfterMs: readWholeNumber('--settle-after', settleAfter, 86_400_000) }),
    ...(values.state === undefined ? {} : { stateFile: values.state }),
    ...(values.webhook === undefined ? {} : { webhookUrl: values.webhook }),
  }
}

function readWholeNumber(name: string, text: string, most: number): number {
  if (/^\d{1,9}$/.test(text) && Number(text) <= most) return Number(text)
  throw new Error(`${name} must be a whole number from 0 to ${most}.`)
}

function fail(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

main().catch(fail)
