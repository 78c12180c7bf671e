/**
 * A row for each promise, from the report of the test run: `{ number, text, verdict, findings,
 * seeds }`. A promise is kept while each of its tests holds, and not kept where it has none.
 */
export function tabulate(promises, report, numbers) {
  const tests = report.testResults.flatMap(testsOf)
  return promises
    .filter(([number]) => numbers.length === 0 || numbers.includes(number))
    .map(([number, text]) => {
      const name = new RegExp(`^promise ${number}: `)
      const own = tests.filter(({ title }) => name.test(title))
      return { number, text, ...judge(own) }
    })
}

/** What was not chosen is listed as skipped, and so is what a file that failed never came to. */
function testsOf({ status, message, assertionResults }) {
  if (status !== 'failed') return assertionResults.filter(hasRun)
  return assertionResults.map((test) =>
    hasRun(test) ? test : { ...test, status: 'failed', failureMessages: [message] },
  )
}

function hasRun({ status }) {
  return status === 'passed' || status === 'failed'
}

function judge(tests) {
  if (tests.length === 0) return { verdict: 'not kept', findings: ['no test'], seeds: [] }
  const proofs = tests.map(({ meta }) => meta?.promise).filter(Boolean)
  const seeds = [...new Set(proofs.map(({ seed }) => seed).filter((seed) => seed !== null))]
  const failed = tests.filter(({ status }) => status === 'failed')
  if (failed.length > 0) {
    const findings = failed.map((test) => `${test.title}: ${firstLine(test.failureMessages)}`)
    return { verdict: 'not kept', findings, seeds }
  }
  const findings = proofs.flatMap((proof) =>
    proof.kind === 'no surface' ? proof.findings.map((it) => `no ${it} yet`) : proof.findings,
  )
  const isAbsent = proofs.every(({ kind }) => kind === 'no surface')
  return { verdict: isAbsent ? 'no surface' : 'kept', findings, seeds }
}

function firstLine([message = ''] = []) {
  return message.split('\n')[0]
}

/** Columns parted by ` · `: long texts are left whole, for they are what the run was for. */
export function printTable(rows) {
  console.log('\nnumber · promise · kept/not kept · what was measured · seed')
  for (const { number, text, verdict, findings, seeds } of rows) {
    const columns = [number, text, verdict, findings.join('; '), seeds.join(', ') || '–']
    console.log(columns.join(' · '))
  }
  const count = (verdict) => rows.filter((row) => row.verdict === verdict).length
  console.log(
    `\n${rows.length} promises: ${count('kept')} kept, ${count('no surface')} without a surface, ` +
      `${count('not kept')} not kept`,
  )
}
