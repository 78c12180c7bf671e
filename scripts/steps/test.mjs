import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { toolPath } from './project.mjs'
import { runNode } from './run.mjs'

/** Runs the tests that the arguments choose, or all; the last line counts them. */
export async function command(args) {
  const { code, line } = await runTests(args)
  console.log(line)
  process.exitCode = code
}

/**
 * Returns the exit code and the line that counts. `env` is added to the environment; with `group`
 * nothing that the tests start outlives them.
 */
export async function runTests(args, { env = {}, group = false } = {}) {
  if (!(await prepare())) return { code: 1, line: '0 passed, 1 failed' }
  const folder = mkdtempSync(join(tmpdir(), 'bureau-report-'))
  const report = join(folder, 'report.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const vitest = [toolPath('vitest/vitest.mjs'), 'run', ...args, ...reporters]
    const environment = { ...process.env, ...env }
    const { code } = await runNode(vitest, { show: true, group, env: environment })
    const { passed, failed, skipped } = count(report, code)
    const line = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
    return { code: failed > 0 ? code || 1 : code, line }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A file that cannot even be loaded, or a run that ends badly, is a failure though no test is. */
function count(report, code) {
  let result
  try {
    result = JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
  const broken = result.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  )
  const failed = result.numFailedTests + broken.length
  return {
    passed: result.numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: result.numPendingTests + result.numTodoTests,
  }
}
