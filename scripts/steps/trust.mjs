import { randomInt } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { accountOf } from './components/component.mjs'
import { providePrograms } from './components/packages.mjs'
import { Failure, explainFailure } from './failure.mjs'
import { prepare } from './prepare.mjs'
import { root, toolPath } from './project.mjs'
import { runNode } from './run.mjs'
import { printTable, tabulate } from './trust/table.mjs'

const USAGE = 'Usage: npm run trust [-- <number of a promise> …] [--seed <number>]'
const CONFIG = ['--root', 'server', '--config', 'test/trust/vitest.config.ts']

/**
 * Proves all promises of `docs/promises.md`, or those whose numbers are given, and prints a row for
 * each. Needs Debian's PostgreSQL for a primary with a standby, which it installs where it is
 * missing. The exit code is 0 where every promise is kept or has no surface.
 */
export async function command(args) {
  const wish = await explainFailure(() => readArguments(args))
  if (!wish || !(await prepare())) return
  const isKept = await explainFailure(() => prove(wish))
  process.exitCode = isKept ? 0 : 1
}

function readArguments(args) {
  let values, positionals
  try {
    const options = { seed: { type: 'string' } }
    ;({ values, positionals } = parseArgs({ args, options, allowPositionals: true }))
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`)
  }
  const numbers = positionals.map(Number)
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
  if (![seed, ...numbers].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    throw new Failure(USAGE)
  }
  return { numbers, seed }
}

async function prove({ numbers, seed }) {
  const { postgresql } = await providePrograms(['postgresql'])
  const folder = mkdtempSync(join(tmpdir(), 'bureau-trust-'))
  const report = join(folder, 'report.json')
  // These leave processes behind when they are interrupted: the group ends with us.
  const env = {
    ...process.env,
    BUREAU_TRUST_SEED: String(seed),
    BUREAU_POSTGRES: JSON.stringify({ programs: postgresql, account: accountOf('postgres') }),
  }
  const chosen = numbers.length > 0 ? ['-t', `promise (${numbers.join('|')}):`] : []
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  try {
    console.log(`seed ${seed}`)
    const vitest = [toolPath('vitest/vitest.mjs'), 'run', ...CONFIG, ...chosen, ...reporters]
    const { code } = await runNode(vitest, { show: true, group: true, env })
    const rows = tabulate(readPromises(), readReport(report), numbers)
    printTable(rows)
    return code === 0 && rows.every(({ verdict }) => verdict !== 'not kept')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    throw new Failure('The tests ended without a report.')
  }
}

/** `[number, text]` of each line of the page. */
function readPromises() {
  const page = readFileSync(join(root, 'docs/promises.md'), 'utf8')
  return [...page.matchAll(/^(\d+)\. (.+?) → /gm)].map(([, number, text]) => [Number(number), text])
}
