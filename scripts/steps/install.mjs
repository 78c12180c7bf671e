import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { listWorkspaces, root, toolPath } from './project.mjs'
import { run, runNode } from './run.mjs'

const stampFile = toolPath('.bureau-installed')
const NETWORK_FAILURE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET|CERT_/

/** Whether node_modules holds what the lockfile asks for on this platform. */
export function isInstalled() {
  if (readText(stampFile) === fingerprint()) return true
  if (!matchesLockfile()) return false
  writeFileSync(stampFile, fingerprint())
  return true
}

/** Installs exactly what the lockfile says. */
export async function install() {
  console.error('Installing packages from the lockfile; the first time this takes a minute or so')
  const { code, output } = await runNpm(['ci'])
  if (code === 0) {
    writeFileSync(stampFile, fingerprint())
    return
  }
  const [reason] = NETWORK_FAILURE.exec(output) ?? []
  if (reason) {
    throw new Failure(
      `npm's registry cannot be reached (${reason}): check the network, or npm's registry and proxy settings.`,
    )
  }
  // npm says what is wrong first, and then at length how it is used.
  const errors = output.split('\n').filter((line) => line.startsWith('npm error'))
  const words = errors.slice(0, 8).join('\n')
  throw new Failure(`The packages cannot be installed:\n${words}`)
}

async function runNpm(args) {
  const quietly = [...args, '--no-audit', '--no-fund', '--no-progress', '--ignore-scripts']
  const npm = process.env.npm_execpath
  if (npm?.endsWith('.js')) return await runNode([npm, ...quietly])
  return await run(process.platform === 'win32' ? 'npm.cmd' : 'npm', quietly)
}

function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  const manifests = ['package.json', ...listWorkspaces().map((folder) => `${folder}/package.json`)]
  for (const file of ['package-lock.json', ...manifests]) hash.update(readText(join(root, file)))
  return hash.digest('hex')
}

/** npm writes its own list last of all, so an installation that was cut short has none. */
function matchesLockfile() {
  const installedFile = toolPath('.package-lock.json')
  if (!existsSync(installedFile)) return false
  const installed = JSON.parse(readText(installedFile)).packages
  const wanted = JSON.parse(readText(join(root, 'package-lock.json'))).packages
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true
    if (installed[path]) return installed[path].version === entry.version
    return entry.optional && !isForThisPlatform(entry)
  })
}

/** Optional packages that name no platform, or a C library, are npm's to judge: not for certain. */
function isForThisPlatform({ os, cpu, libc }) {
  if (libc || !(os || cpu)) return false
  return admits(os, process.platform) && admits(cpu, process.arch)
}

/** A list of names, or of names that are excluded; no list admits everything. */
function admits(list, name) {
  if (!list || list.includes(name)) return true
  return list[0].startsWith('!') && !list.includes(`!${name}`)
}

function readText(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}
