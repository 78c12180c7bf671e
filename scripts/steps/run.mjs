import { spawn } from 'node:child_process'
import { root } from './project.mjs'

const KEPT_LENGTH = 200_000

/**
 * Runs a program in the checkout and returns `{ code, output }`, with 1 for a code where it could
 * not be started. `show: true` lets it write to our terminal, and output stays empty. Signals sent
 * to us are passed on, and we wait for its end. With `group: true` it leads a group of processes,
 * and what it leaves running when it ends is ended too.
 */
export function run(program, args, { show = false, group = false, env = process.env } = {}) {
  const stdio = show ? 'inherit' : ['ignore', 'pipe', 'pipe']
  const child = spawn(program, args, { cwd: root, env, stdio, detached: group })
  const forward = (signal) => child.kill(signal)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, forward)

  let output = ''
  const keep = (chunk) => {
    output = (output + chunk).slice(-KEPT_LENGTH)
  }
  child.stdout?.setEncoding('utf8').on('data', keep)
  child.stderr?.setEncoding('utf8').on('data', keep)

  return new Promise((resolve) => {
    const end = (code) => {
      for (const signal of signals) process.off(signal, forward)
      if (group) endGroup(child.pid)
      resolve({ code, output })
    }
    child.once('error', (error) => {
      output += error.message
      end(1)
    })
    child.once('close', (code, signal) => end(code ?? 128 + (signal === 'SIGINT' ? 2 : 15)))
  })
}

/** Runs a script of Node's with the Node that runs us. */
export function runNode(args, options) {
  return run(process.execPath, args, options)
}

/** On systems without groups of processes there is nothing to end, as there is in an empty one. */
function endGroup(leader) {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {}
}
