import { Failure, explainFailure } from './failure.mjs'
import { prepare } from './prepare.mjs'
import { listCompiled, toolPath } from './project.mjs'
import { runNode } from './run.mjs'
import { runTests } from './test.mjs'

/** Each returns whether it passed, after it has shown what there is to mend. */
const STEPS = {
  format: () => runOnFiles([toolPath('oxfmt/bin/oxfmt'), '--check', '.']),
  types: checkTypes,
  lint: () => runOnFiles([toolPath('oxlint/bin/oxlint'), '--type-aware', '.']),
  'dead code': () => runQuietly([toolPath('knip/bin/knip.js')]),
  tests: checkTests,
}

/** Runs the steps, or with `--only` one of them; goes on after a failure, to show them all. */
export async function command(args) {
  const steps = await explainFailure(() => chooseSteps(args))
  if (!steps || !(await prepare())) return

  const results = []
  for (const step of steps) {
    console.log(`\n== ${step}`)
    const startedAt = performance.now()
    const { isOk, line } = await STEPS[step]()
    results.push({ step, isOk, line, seconds: (performance.now() - startedAt) / 1000 })
  }

  console.log(`\n${'step'.padEnd(12)}${'seconds'.padStart(8)}  result`)
  for (const { step, seconds, isOk } of results) {
    const result = isOk ? 'ok' : 'failed'
    console.log(`${step.padEnd(12)}${seconds.toFixed(1).padStart(8)}  ${result}`)
  }
  const lines = results.flatMap(({ line }) => line ?? [])
  if (lines.length > 0) console.log(`\n${lines.join('\n')}`)
  process.exitCode = results.every(({ isOk }) => isOk) ? 0 : 1
}

async function chooseSteps(args) {
  const names = Object.keys(STEPS)
  if (args.length === 0) return names
  const [option, name] = args
  if (option === '--only' && args.length === 2 && names.includes(name)) return [name]
  throw new Failure(`Usage: npm run check [-- --only <${names.join('|')}>]`)
}

async function checkTypes() {
  const results = await Promise.all(listCompiled().map(checkTypesOf))
  return { isOk: results.every(({ isOk }) => isOk) }
}

async function checkTypesOf(workspace) {
  const compiler = toolPath('typescript/bin/tsc')
  return await runQuietly([compiler, '-p', workspace, '--pretty', 'false'])
}

async function checkTests() {
  const { code, line } = await runTests([])
  return { isOk: code === 0, line }
}

/** A tool that found nothing to look at also finds nothing wrong: it has to say how much it saw. */
async function runOnFiles(args) {
  const { isOk, output } = await runQuietly(args)
  const [, files] = /\bon (\d+) files/.exec(output) ?? []
  if (Number(files ?? 0) > 0) return { isOk }
  console.log('It saw no files.')
  return { isOk: false }
}

async function runQuietly(args) {
  const { code, output } = await runNode(args)
  if (code !== 0) console.log(output.trim())
  return { isOk: code === 0, output }
}
