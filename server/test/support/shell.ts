import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'

/** One bash that keeps its variables from block to block, as a reader's terminal does. */
export interface Shell {
  /** What the block prints; a block in which a command fails is thrown with its words. */
  run(block: string): Promise<string>
  close(): Promise<void>
}

export function openShell(cwd: string): Shell {
  const child = spawn('bash', ['-eu', '-o', 'pipefail'], { cwd, stdio: 'pipe' })
  const ended = once(child, 'close')
  let output = ''
  let errors = ''
  let wake = (): void => undefined
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk))
  child.stdin.on('error', () => undefined)
  let hasEnded = false
  child.once('close', () => {
    hasEnded = true
    wake()
  })

  return {
    run: async (block) => {
      const mark = `end of block ${randomBytes(8).toString('hex')}`
      output = ''
      child.stdin.write(`${block}\nprintf '%s\\n' '${mark}'\n`)
      while (!output.includes(mark)) {
        if (hasEnded) throw new Error(`The shell ended in:\n${block}\n${output}${errors}`)
        await new Promise<void>((resolve) => (wake = resolve))
      }
      return output.slice(0, output.indexOf(mark))
    },
    close: async () => {
      child.stdin.end()
      await ended
    },
  }
}
