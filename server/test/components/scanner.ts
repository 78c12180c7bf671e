import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { eventually } from '../support/eventually.ts'

/** How clamd is started here; `npm run test:components` has laid it out. */
interface ScannerSetting {
  readonly program: string
  readonly args: readonly string[]
  readonly account: { readonly uid?: number; readonly gid?: number }
  readonly url: string
}

export interface Scanner {
  stop(): Promise<void>
}

const setting = JSON.parse(process.env['BUREAU_TEST_SCANNER'] ?? '{}') as ScannerSetting

/** `tcp://host:port`, whether clamd runs or not. */
export const scannerUrl = setting.url

/** Starts clamd and waits until it answers. */
export async function startScanner(): Promise<Scanner> {
  const { program, args, account } = setting
  const child = spawn(program, args, { ...account, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  }
  const ended = once(child, 'close')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  try {
    await eventually(ping, { withinMs: 30_000 })
  } catch (error) {
    await stop()
    throw new Error(`clamd does not answer:\n${output}`, { cause: error })
  }
  return { stop }
}

async function ping(): Promise<void> {
  const { hostname, port } = new URL(setting.url)
  const socket = connect(Number(port), hostname)
  try {
    socket.end('zPING\0')
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    if (!answer.startsWith('PONG')) throw new Error(`clamd answers ${JSON.stringify(answer)}`)
  } finally {
    socket.destroy()
  }
}
