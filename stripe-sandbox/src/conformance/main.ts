import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { decodeForm } from '../form.ts'
import { findOperation, OPERATIONS } from '../operations.ts'
import type { RecordedExchange } from '../recording.ts'
import { startSandbox } from '../sandbox.ts'
import {
  findRequestSchema,
  readDescription,
  readFixtures,
  type Description,
  type Fixtures,
} from './description.ts'
import { driveEveryOperation } from './journey.ts'
import { findStaleEntries, isNewerParameter, NEWER_PARAMETERS } from './newer-parameters.ts'
import { findReplyProblems } from './reply-check.ts'
import { findMisfits } from './request-check.ts'

const USAGE = `Usage: conformance <description.json[.gz]> <fixtures.json> [options]

Checks requests and replies against Stripe's own OpenAPI description and fixtures: those of a
journey through every operation, or of a recording that a sandbox wrote.

  --recording <file>    check this recording instead
  --at-least <number>   fail when fewer exchanges were seen; 55 for the journey, 1 for a recording
`

/** The journey makes a few more requests than this; fewer mean that it did not run. */
const JOURNEY_REQUESTS = '55'

interface Verdict {
  exchanges: number
  problems: string[]
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { 'at-least': { type: 'string' }, recording: { type: 'string' } },
  })
  const [descriptionPath, fixturesPath] = positionals
  if (descriptionPath === undefined || fixturesPath === undefined) throw new Error(USAGE)
  const description = readDescription(descriptionPath)
  const fixtures = readFixtures(fixturesPath)
  const recorded = values.recording !== undefined
  const exchanges = recorded ? readRecording(values.recording ?? '') : await recordJourney()
  const verdicts = judge(description, fixtures, exchanges)
  const atLeast = Number(values['at-least'] ?? (recorded ? '1' : JOURNEY_REQUESTS))
  const general = [
    ...findStaleEntries(description),
    ...(exchanges.length >= atLeast
      ? []
      : [`only ${exchanges.length} exchanges were seen, fewer than ${atLeast}`]),
    ...(recorded ? [] : findUnseenOperations(exchanges)),
  ]
  report(verdicts, general)
}

/** What was said in a journey through every operation. */
async function recordJourney(): Promise<RecordedExchange[]> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'))
  const recordFile = join(folder, 'journey.jsonl')
  try {
    const sandbox = await startSandbox({ port: 0, recordFile })
    try {
      await driveEveryOperation(sandbox)
    } finally {
      await sandbox.close()
    }
    return readRecording(recordFile)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function readRecording(path: string): RecordedExchange[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as RecordedExchange)
}

/** The problems of all exchanges, by operation. */
function judge(
  description: Description,
  fixtures: Fixtures,
  exchanges: RecordedExchange[],
): Map<string, Verdict> {
  const verdicts = new Map<string, Verdict>()
  for (const exchange of exchanges) {
    const name = nameOf(exchange)
    const verdict = verdicts.get(name) ?? { exchanges: 0, problems: [] }
    verdict.exchanges += 1
    verdict.problems.push(
      ...requestProblems(description, exchange).map((problem) => `request: ${problem}`),
      ...replyProblems(fixtures, exchange).map((problem) => `reply: ${problem}`),
    )
    verdicts.set(name, verdict)
  }
  return verdicts
}

function requestProblems(description: Description, exchange: RecordedExchange): string[] {
  const found = findRequestSchema(description, exchange.method, exchange.path)
  if (found === undefined) return ['the description has no such operation']
  const form = { ...decodeForm(exchange.query), ...decodeForm(exchange.requestBody) }
  return findMisfits(found.schema, form)
    .filter((misfit) => !isNewerParameter(description, exchange, misfit))
    .map(({ param, problem }) => `${param} ${problem}`)
}

/** A cut connection has no reply to check. */
function replyProblems(fixtures: Fixtures, { replyBody, status }: RecordedExchange): string[] {
  return status === null ? [] : findReplyProblems(fixtures, status, replyBody)
}

function findUnseenOperations(exchanges: RecordedExchange[]): string[] {
  const seen = new Set(exchanges.filter(({ status }) => status === 200).map(nameOf))
  return OPERATIONS.filter(({ name }) => !seen.has(name)).map(({ name }) => `${name} was not seen`)
}

function nameOf({ method, path }: RecordedExchange): string {
  return findOperation(method, path)?.operation.name ?? `${method} ${path}`
}

function report(verdicts: Map<string, Verdict>, general: string[]): void {
  const lines = [...verdicts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { exchanges, problems }]) => [
      [name.padEnd(32), String(exchanges).padStart(5), verdictOf(problems)].join('  '),
      ...countEqual(problems).map((problem) => `    ${problem}`),
    ])
  const exchanges = [...verdicts.values()].reduce((sum, verdict) => sum + verdict.exchanges, 0)
  const failures = [...verdicts.values()].reduce((sum, { problems }) => sum + problems.length, 0)
  const newer = NEWER_PARAMETERS.map(({ method, param, path, reason }) => {
    return `Newer than the description: ${method} ${path} ${param} (${reason})`
  })
  const summary = `${exchanges} exchanges, ${failures + general.length} problems`
  process.stdout.write([...lines, ...newer, ...general, summary, ''].join('\n'))
  if (failures + general.length > 0) process.exitCode = 1
}

function verdictOf(problems: string[]): string {
  return problems.length === 0 ? 'ok' : 'FAILED'
}

function countEqual(problems: string[]): string[] {
  const counts = new Map<string, number>()
  for (const problem of problems) counts.set(problem, (counts.get(problem) ?? 0) + 1)
  return [...counts].map(([problem, count]) =>
    count === 1 ? problem : `${problem} (${count} times)`,
  )
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
