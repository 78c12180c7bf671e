import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../scripts/steps/project.mjs'

/** Of what the server needs in production: how many packages are installed here, and their MiB. */
export function countPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const paths = reach(packages, 'server').filter((path) => existsSync(join(root, path)))
  const bytes = paths.reduce((sum, path) => sum + sizeOf(join(root, path)), 0)
  return { count: paths.length, mebibytes: bytes / 2 ** 20 }
}

/** Paths of all packages that a workspace needs, its own workspaces left out. */
function reach(packages, workspace) {
  const found = new Set()
  const queue = [workspace]
  for (const from of queue) {
    const { dependencies, optionalDependencies } = packages[from]
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const path = resolve(packages, from, name)
      const { link, resolved } = packages[path] ?? {}
      const target = link ? resolved : path
      if (target === undefined || queue.includes(target)) continue
      queue.push(target)
      if (!link) found.add(target)
    }
  }
  return [...found]
}

/** Where Node finds the package: beside whoever asks, or beside one of the folders around it. */
function resolve(packages, from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
    if (packages[path]) return path
    if (folder === '') return undefined
  }
}

function sizeOf(folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    // Packages within are counted by themselves.
    if (entry.name === 'node_modules') return sum
    const path = join(folder, entry.name)
    return sum + (entry.isDirectory() ? sizeOf(path) : lstatSync(path).size)
  }, 0)
}
