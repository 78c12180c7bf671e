import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { explainFailure, Failure } from './failure.mjs'
import { prepare } from './prepare.mjs'
import { root } from './project.mjs'

const USAGE =
  'Usage: npm run bench [-- --size demo|s|m|l|xl --seconds <n> --rounds <n> --only <word> --keep]'
const LATEST = '<!-- latest -->'

/**
 * Measures Bureau beside its controls and prints the tables; `--keep` adds the run to
 * `bench/results/` and shows it in `bench/README.md`. The exit code says whether it came to its
 * end, not whether each bar is met.
 */
export async function command(args) {
  const wish = await explainFailure(() => readArguments(args))
  if (!wish || !(await prepare())) return
  const isDone = await explainFailure(() => bench(wish))
  process.exitCode = isDone ? 0 : 1
}

function readArguments(args) {
  const options = {
    size: { type: 'string', default: 'demo' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
  }
  try {
    const { values } = parseArgs({ args, options })
    const wish = { ...values, seconds: Number(values.seconds), rounds: Number(values.rounds) }
    if (wish.seconds >= 1 && wish.rounds >= 1) return wish
  } catch {
    // What is no option is told as well.
  }
  throw new Failure(USAGE)
}

async function bench({ keep, ...wish }) {
  // What has been begun hears that we exit and ends with us; of a signal it would not hear.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130))
  // Its packages are there only after the checkout was prepared.
  const { measure } = await import('../../bench/main.mjs')
  const report = await import('../../bench/report/index.mjs')
  const { rows, machine } = await measure({
    ...wish,
    tell: (row) => console.error(report.line(row)),
  })
  const tables = `${report.renderTable(rows)}\n\n${report.renderMachine(machine)}\n`
  console.log(tables)
  if (keep) show({ ...wish, rows, machine }, { tables, chart: report.renderChart(rows) })
  return true
}

function show({ size, ...run }, { tables, chart }) {
  const git = (...words) => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim()
  const at = new Date().toISOString()
  const commit = git('rev-parse', '--short', 'HEAD')
  const [{ model }] = cpus()
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  const host = `${cpus().length} × ${model}, ${gibibytes} GiB, Node ${process.version}`
  const folder = join(root, 'bench/results')
  mkdirSync(folder, { recursive: true })
  const line = JSON.stringify({ at, commit, host, ...run })
  appendFileSync(join(folder, `${size}.jsonl`), `${line}\n`)
  writeFileSync(join(folder, `${size}.svg`), chart)
  const page = join(root, 'bench/README.md')
  const [before] = readFileSync(page, 'utf8').split(LATEST)
  const about = `${at.slice(0, 10)}, commit ${commit}, size \`${size}\`; ${host}.`
  const picture = `![Bureau beside its controls](results/${size}.svg)`
  writeFileSync(page, `${before}${LATEST}\n\n${about}\n\n${picture}\n\n${tables}`)
}
