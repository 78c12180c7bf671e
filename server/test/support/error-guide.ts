import type { Endpoint } from '../../src/http/endpoint.ts'
import type { ErrorKind } from '../../src/kernel/errors.ts'
import { inputCodes } from '../../src/kernel/input-codes.ts'

/** Where a failure that many endpoints share can come from, so that nobody reads a hundred lines. */
export const sharedPlaces: Readonly<Record<string, string>> = {
  invalid_input: 'every endpoint',
  malformed_request: 'every endpoint that reads a body',
  invalid_cursor: 'every list',
  idempotency_key_invalid: 'every endpoint that takes an `Idempotency-Key`',
  idempotency_key_weak: 'every public endpoint that takes an `Idempotency-Key`',
  unauthorized: 'every endpoint',
  forbidden: 'every endpoint that is not public',
  not_found: 'every endpoint with an id, and every path that leads nowhere',
  method_not_allowed: 'every path',
  not_acceptable: 'every endpoint',
  request_timeout: 'every endpoint that reads a body',
  idempotency_in_progress: 'every endpoint that takes an `Idempotency-Key`',
  precondition_failed: 'every PATCH and DELETE',
  payload_too_large: 'every endpoint that reads a body',
  unsupported_media_type: 'every endpoint that reads a body',
  range_not_satisfiable: 'every download',
  idempotency_key_reused: 'every endpoint that takes an `Idempotency-Key`',
  rate_limited: 'every endpoint',
  internal_error: 'every endpoint',
  unavailable: 'every endpoint',
  storage_full: 'every upload',
}

/** The page that tells a developer what each failure means and what to do about it. */
export function writeErrorGuide(
  kinds: readonly ErrorKind[],
  endpoints: readonly Endpoint[],
): string {
  const statuses = [...new Set(kinds.map(({ status }) => status))].toSorted((a, b) => a - b)
  const sections = statuses.map((status) => {
    const ofStatus = kinds.filter((kind) => kind.status === status)
    const rows = ofStatus.toSorted(byCode).map((kind) => {
      return row(`\`${kind.code}\``, kind.title, kind.remedy, placesOf(kind, endpoints))
    })
    const head = [row('Code', 'Cause', 'Remedy', 'Where'), row('---', '---', '---', '---')]
    return [`## ${status} ${statusNames[status] ?? ''}`.trim(), '', ...head, ...rows].join('\n')
  })
  return [introduction, ...sections, inputSection()].join('\n\n') + '\n'
}

const introduction = `# What went wrong, and what to do about it

Every failure is a problem document (RFC 9457, \`application/problem+json\`). Its \`code\` is
stable: decide by it, show \`detail\` to people, and give \`requestId\` to whoever reads the log.

\`\`\`json
{
  "type": "urn:bureau:problem:invalid_input",
  "title": "The request is not valid.",
  "status": 400,
  "detail": "must be >= 1",
  "instance": "/api/orders",
  "code": "invalid_input",
  "requestId": "req_01jd8q9yg8e5v9c0m4t7k2x3za",
  "errors": [{ "pointer": "/items/0/quantity", "code": "minimum", "message": "must be >= 1" }]
}
\`\`\`

A repeated write with the same \`Idempotency-Key\` never does its work twice: after a time-out, a
5xx or a cut connection it is always right to repeat it.

This page is written from the source (\`UPDATE_GOLDEN=1 npm test -- server/test/errors.test.ts\`).`

function inputSection(): string {
  const rows = Object.entries(inputCodes)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { cause, remedy }]) => row(`\`${code}\``, cause, remedy))
  return [
    '## Codes in `errors`',
    '',
    '`invalid_input` says in `errors`, at most 20 at a time, which part is wrong: `pointer` is a',
    'JSON Pointer into the body, or into the address where it begins with `/query` or `/params`.',
    '',
    row('Code', 'Cause', 'Remedy'),
    row('---', '---', '---'),
    ...rows,
  ].join('\n')
}

const statusNames: Readonly<Record<number, string>> = {
  400: 'The request is wrong',
  401: 'Nobody that is known',
  402: 'Not paid',
  403: 'Known, and not allowed',
  404: 'Not there',
  405: 'Not this method',
  406: 'Not in that form',
  408: 'Too slow',
  409: 'Not in this state',
  410: 'Gone',
  412: 'Changed since',
  413: 'Too large',
  415: 'Not of that kind',
  416: 'Not that range',
  422: 'Understood, and refused',
  429: 'Too many',
  500: 'Our fault',
  503: 'Down for now',
  507: 'Storage full',
}

/** Shared places first, then the endpoints that declare it themselves. */
function placesOf({ code }: ErrorKind, endpoints: readonly Endpoint[]): string {
  const shared = sharedPlaces[code]
  const declaring = endpoints
    .filter(({ contract }) => contract.errors?.some((kind) => kind.code === code))
    .map(({ method, path }) => `\`${method} ${path}\``)
    .toSorted()
  return [...(shared === undefined ? [] : [shared]), ...new Set(declaring)].join('<br>')
}

function byCode(a: ErrorKind, b: ErrorKind): number {
  return a.code < b.code ? -1 : 1
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
