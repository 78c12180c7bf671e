import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const INSTALL_TIMEOUT_MS = 600_000
const script = fileURLToPath(new URL('../../../scripts/browser.mjs', import.meta.url))

/**
 * The path of a Chromium: CHROME_PATH, one on PATH, or one that is installed for the occasion.
 * Throws one sentence where none can be had.
 */
export async function findChromium(): Promise<string> {
  const named = process.env['CHROME_PATH']
  if (named) return named
  try {
    const options = { timeout: INSTALL_TIMEOUT_MS }
    const { stdout } = await promisify(execFile)(process.execPath, [script], options)
    return stdout.trim()
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string }
    throw new Error(stderr.trim().split('\n').at(-1) || 'There is no Chromium.', { cause: error })
  }
}
