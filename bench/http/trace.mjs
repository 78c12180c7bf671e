import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { connectionOf } from './bureau.mjs'

const SETTLE_MS = 300
/** The schedule and the relay speak, too: of several looks the shortest is the request alone. */
const LOOKS = 4

/**
 * The statements that `ask` makes Bureau send, as PostgreSQL logs them: `{ text, values }`, BEGIN
 * and COMMIT among them, those of jobs not.
 */
export async function traceStatements(dataDir, ask) {
  const client = new pg.Client(connectionOf(dataDir, 'superuser'))
  await client.connect()
  const log = join(dataDir, 'postgres/postgres.log')
  try {
    await configure(client, { log_min_duration_statement: '0', log_line_prefix: "'%m|%a|'" })
    let fewest
    for (let look = 0; look < LOOKS; look += 1) {
      const from = statSync(log).size
      await ask()
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      const found = readStatements(readFileSync(log).subarray(from).toString())
      if (!fewest || found.length < fewest.length) fewest = found
    }
    return fewest
  } finally {
    for (const name of ['log_min_duration_statement', 'log_line_prefix']) {
      await client.query(`alter system reset ${name}`)
    }
    await client.query('select pg_reload_conf()')
    await client.end()
  }
}

async function configure(client, settings) {
  for (const [name, value] of Object.entries(settings)) {
    await client.query(`alter system set ${name} = ${value}`)
  }
  await client.query('select pg_reload_conf()')
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
}

function readStatements(text) {
  const entries = text.split(/^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)/m)
  const statements = []
  for (const entry of entries) {
    const [, application, rest = ''] = entry.split('|')
    if (application !== 'bureau') continue
    const body = entry.slice(entry.indexOf(rest)).replaceAll('\n\t', '\n').trim()
    const [, how, statement] =
      /duration: \S+ ms {2}(execute \S+|statement): ([^]*)$/.exec(body) ?? []
    if (how) statements.push({ text: statement, values: [] })
    const [, parameters] = /DETAIL: {2}parameters: ([^]*)$/i.exec(body) ?? []
    const last = statements.at(-1)
    if (parameters && last?.text.includes('$1')) last.values = readValues(parameters)
  }
  return statements
}

/** `$1 = 'it''s', $2 = NULL` as values. */
function readValues(text) {
  const found = text.matchAll(/\$\d+ = (NULL|'((?:[^']|'')*)')/g)
  return [...found].map(([, whole, quoted]) =>
    whole === 'NULL' ? null : quoted.replaceAll("''", "'"),
  )
}
