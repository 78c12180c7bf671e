import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { repository } from '../../support/sources.ts'
import { foreign, inProduction } from '../locked-packages.ts'
import { promise } from '../promise.ts'

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
