import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { root } from '../../scripts/steps/project.mjs'

/**
 * Starts a control in a process of its own: `{ pid, url, stop }`, or one without a web server,
 * which has `run({ connections, seconds })` instead of the address.
 */
export async function startControl(options) {
  const child = fork(join(root, 'bench/http/control-server.mjs'), [JSON.stringify(options)], {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', UV_THREADPOOL_SIZE: '4' },
  })
  const ended = once(child, 'close')
  const failed = ended.then(([code]) => {
    throw new Error(`the control ${options.kind} ended with ${code}`)
  })
  failed.catch(() => undefined)
  const [{ port }] = await Promise.race([once(child, 'message'), failed])
  return {
    pid: child.pid,
    ...(port === undefined
      ? { run: (wish) => ask(child, wish, failed) }
      : { url: `http://127.0.0.1:${port}` }),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function ask(child, wish, failed) {
  child.send(wish)
  const [run] = await Promise.race([once(child, 'message'), failed])
  return run
}
