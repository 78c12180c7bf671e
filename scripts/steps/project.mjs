import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout's folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** Folders of the workspaces. */
export function listWorkspaces() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).workspaces
}

/** Those that are written in TypeScript, in the order in which they are built. */
export function listCompiled() {
  return listWorkspaces().filter((workspace) => existsSync(join(root, workspace, 'tsconfig.json')))
}

/** The script of an installed tool, for Node to run: its shell wrapper differs by system. */
export function toolPath(...path) {
  return join(root, 'node_modules', ...path)
}
