import { provideBrowser } from './browser.mjs'
import { Failure } from './failure.mjs'
import { prepare } from './prepare.mjs'
import { runTests } from './test.mjs'

const CONFIG = ['--root', 'server', '--config', 'test/processes/vitest.config.ts']

/** Runs them, or those that the arguments choose; the last line counts them. */
export async function command(args) {
  if (!(await prepare())) return
  const env = args.length > 0 ? {} : await findBrowser()
  // They start processes of their own: the group ends with us.
  const { code, line } = await runTests([...CONFIG, ...args], { env, group: true })
  console.log(line)
  process.exitCode = code
}

/** A chosen few ask for a browser when they need it; all of them will need one. */
async function findBrowser() {
  try {
    return { CHROME_PATH: await provideBrowser() }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.error(error.message)
    return {}
  }
}
