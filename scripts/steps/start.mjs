import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { prepare } from './prepare.mjs'
import { root } from './project.mjs'

/** Becomes the server: in this very process, so that signals and exit codes are its own. */
export async function command(args) {
  if (!(await prepare())) return
  const program = join(root, 'server', 'dist', 'cli.js')
  process.argv = [process.argv[0], program, 'start', ...args]
  await import(pathToFileURL(program).href)
}
