import { readFileSync } from 'node:fs'
import path from 'node:path'
import { repository } from '../../support/sources.ts'
import type { RawReply } from '../../support/raw-http.ts'

/** Every code that Bureau has; a guard keeps the page the same as the source. */
const codes = new Set(
  [
    ...readFileSync(path.join(repository, 'docs/guides/errors.md'), 'utf8').matchAll(
      /^\| `(\w+)` \|/gm,
    ),
  ].map(([, code]) => code),
)

/** What only the inside knows: places of code, words of the database and of its driver. */
const insides = [
  /\bat .{0,200}:\d+:\d+/,
  /node_modules|\/(src|dist|modules)\/[\w-]+|\.(ts|js):\d/,
  /\b(select|insert into|update|delete from)\b.*\b(from|values|set|where)\b/i,
  /\b(relation|column|constraint|syntax error|invalid input syntax|sqlstate|postgres|pg_\w+)\b/i,
  /\b(TypeError|ReferenceError|RangeError|SyntaxError|ECONN\w+|FST_\w+|undefined)\b/,
]

const soonMs = 1000

/** What is wrong with a reply to something hostile; nothing where it is as promised. */
export function complaintsAbout(reply: RawReply): string[] {
  const { status, headers, body, tookMs, wasClosed } = reply
  const complaints: string[] = []
  if (status === 0) complaints.push(`no reply: ${reply.text.slice(0, 200)}`)
  if (status >= 500) complaints.push(`status ${status}: ${body.slice(0, 500)}`)
  if (!wasClosed) complaints.push('the connection stays open')
  if (tookMs > soonMs) complaints.push(`took ${Math.round(tookMs)} ms`)
  if (status >= 400 && status < 500) complaints.push(...complaintsAboutProblem(headers, body))
  return complaints
}

function complaintsAboutProblem(headers: RawReply['headers'], body: string): string[] {
  const type = headers['content-type'] ?? 'none'
  if (type !== 'application/problem+json') return [`a refusal of type ${type}`]
  // To HEAD there is no body.
  if (body === '') return []
  const { code, stack, errors, title, detail } = JSON.parse(body) as {
    readonly code: string
    readonly stack?: string
    readonly title: string
    readonly detail?: string
    readonly errors?: readonly { readonly message: string }[]
  }
  const complaints: string[] = []
  if (!codes.has(code)) complaints.push(`the unknown code ${code}`)
  if (stack !== undefined) complaints.push('a stack')
  // The address and the names of members are the client's own words.
  const told = JSON.stringify([title, detail, errors?.map(({ message }) => message)])
  for (const inside of insides)
    if (inside.test(told)) complaints.push(`tells of its inside: ${told}`)
  return complaints
}
