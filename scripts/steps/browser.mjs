import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Failure, explainFailure } from './failure.mjs'
import { toolPath } from './project.mjs'
import { run, runNode } from './run.mjs'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']

/** Prints a Chromium's path and nothing else on standard output. */
export async function command() {
  const path = await explainFailure(provideBrowser)
  if (path) console.log(path)
}

/** The path of a Chromium: the one at hand, else Debian's, else Playwright's. */
export async function provideBrowser() {
  return (
    (await findBrowser()) ??
    (await installFromDebian()) ??
    (await installFromPlaywright()) ??
    fail()
  )
}

async function findBrowser() {
  const named = process.env.CHROME_PATH
  if (named) {
    if (isExecutable(named)) return named
    throw new Failure(`CHROME_PATH names ${named}, which is no program that can be run.`)
  }
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) {
      if (isExecutable(join(folder, name))) return join(folder, name)
    }
  }
  return await findPlaywrights()
}

async function installFromDebian() {
  if (process.geteuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return undefined
  console.error('Installing Chromium with apt-get, for the tests that need a browser')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const wait = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2']
  await run('apt-get', [...wait, 'update'], { env })
  const args = [...wait, 'install', '-y', '--no-install-recommends', 'chromium']
  const { code } = await run('apt-get', args, { env })
  return code === 0 ? await findBrowser() : undefined
}

async function installFromPlaywright() {
  console.error("Installing Playwright's Chromium, for the tests that need a browser")
  await runNode([toolPath('playwright-core/cli.js'), 'install', 'chromium'])
  return await findPlaywrights()
}

async function findPlaywrights() {
  try {
    const { chromium } = await import('playwright-core')
    const path = chromium.executablePath()
    return isExecutable(path) ? path : undefined
  } catch {
    return undefined
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function fail() {
  throw new Failure(
    'There is no Chromium for the tests that need a browser, and none can be installed: ' +
      'install one and name it in CHROME_PATH.',
  )
}
