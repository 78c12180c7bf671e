import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { listCompiled, root, toolPath } from './project.mjs'
import { runNode } from './run.mjs'

/** Workspaces whose compiled files are missing or older than their sources. */
export function listUnbuilt() {
  return listCompiled().filter((workspace) => {
    const stampFile = join(root, workspace, 'dist', '.built')
    return !existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== fingerprint(workspace)
  })
}

/** Compiles the workspaces side by side; types are for `npm run check` to judge. */
export async function build(workspaces) {
  console.error(`Building ${workspaces.join(' and ')}`)
  await Promise.all(workspaces.map(buildWorkspace))
}

/** Into a folder beside, which then takes the place of the old one with all that was stale in it. */
async function buildWorkspace(workspace) {
  const built = fingerprint(workspace)
  const target = join(root, workspace, 'dist')
  const unfinished = `${target}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  const config = join(root, workspace, 'tsconfig.build.json')
  const args = [toolPath('typescript/bin/tsc'), '-p', config, '--noCheck', '--outDir', unfinished]
  const { code, output } = await runNode(args)
  if (code !== 0) {
    rmSync(unfinished, { recursive: true, force: true })
    throw new Failure(`${workspace} cannot be built:\n${output.trim()}`)
  }
  writeFileSync(join(unfinished, '.built'), built)
  rmSync(target, { recursive: true, force: true })
  renameSync(unfinished, target)
}

function fingerprint(workspace) {
  const hash = createHash('sha256')
  const configs = ['tsconfig.base.json', `${workspace}/tsconfig.json`]
  const files = [...configs, `${workspace}/tsconfig.build.json`, 'package-lock.json']
  for (const file of [...files, ...listSources(join(workspace, 'src'))]) {
    const { size, mtimeMs } = statSync(join(root, file))
    hash.update(`${file} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

function listSources(folder) {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  return files.map((entry) => join(entry.parentPath, entry.name).slice(root.length)).toSorted()
}
