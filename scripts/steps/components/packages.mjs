import { accessSync, chmodSync, constants, existsSync, readdirSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Failure } from '../failure.mjs'
import { run } from '../run.mjs'

const OLDEST_POSTGRES = 15
const DEBIANS_POSTGRES = '/usr/lib/postgresql'
/** Asked by Debian's packages whether their services may start; 101 says no. */
const POLICY = '/usr/sbin/policy-rc.d'

/** By package: how its program is found, wherever it came from. */
const FINDERS = {
  postgresql: findPostgres,
  pgbouncer: () => findProgram('pgbouncer'),
  'clamav-daemon': () => findProgram('clamd'),
  wrk: () => findProgram('wrk'),
}

/**
 * Where the programs of these packages are, by package; of `postgresql` the folder of them. What is
 * missing is installed from Debian's archives.
 */
export async function providePrograms(packages) {
  const listMissing = () => packages.filter((name) => FINDERS[name]() === undefined)
  const missing = listMissing()
  if (missing.length > 0) await install(missing)
  const [still] = listMissing()
  if (still) throw new Failure(`The package ${still} is installed, and its program is not there.`)
  return Object.fromEntries(packages.map((name) => [name, FINDERS[name]()]))
}

async function install(packages) {
  const names = packages.join(' ')
  const advice = `install ${names} by hand, then run this again.`
  if (!existsSync('/usr/bin/apt-get')) {
    throw new Failure(`There is no apt-get to install ${names} with: ${advice}`)
  }
  if (process.geteuid?.() !== 0) {
    throw new Failure(`Only root may install ${names}: sudo apt-get install ${names}`)
  }
  console.error(`Installing ${names} with apt-get, without starting a service`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const wait = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2']
  const allowServices = refuseServices()
  try {
    await run('apt-get', [...wait, 'update'], { env })
    const args = [...wait, 'install', '-y', '--no-install-recommends', ...packages]
    const { code, output } = await run('apt-get', args, { env })
    if (code === 0) return
    const words = output.trim().split('\n').slice(-8).join('\n')
    throw new Failure(`apt-get cannot install ${names}:\n${words}\nOtherwise ${advice}`)
  } finally {
    allowServices()
  }
}

/** Nothing of the machine's own shall run because of tests; returns what takes the refusal back. */
function refuseServices() {
  if (existsSync(POLICY)) return () => undefined
  const allow = () => rmSync(POLICY, { force: true })
  process.once('exit', allow)
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n')
  chmodSync(POLICY, 0o755)
  return () => {
    process.off('exit', allow)
    allow()
  }
}

/** The folder of the newest PostgreSQL's programs, where it is new enough. */
function findPostgres() {
  const versions = existsSync(DEBIANS_POSTGRES) ? readdirSync(DEBIANS_POSTGRES).map(Number) : []
  const folders = versions
    .filter((version) => version >= OLDEST_POSTGRES)
    .toSorted((a, b) => b - a)
    .map((version) => join(DEBIANS_POSTGRES, String(version), 'bin'))
  return folders.find((folder) => isExecutable(join(folder, 'initdb')))
}

function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
