import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * One run of wrk: `request` is `{ method, path, headers, body }`; in its texts `{n}` stands for a
 * number that no other request of the run has. Returns the rate, latencies in milliseconds and how
 * many answers were errors.
 */
export async function load(wrk, { url, request, connections, seconds }) {
  const folder = mkdtempSync(join(tmpdir(), 'bureau-load-'))
  const script = join(folder, 'request.lua')
  writeFileSync(script, scriptOf(request))
  const words = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '--latency']
  try {
    return readReport(await output(wrk, [...words, '-s', script, url]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** In Lua; what is the same each time is written once. */
function scriptOf({ method, path, headers = {}, body = '' }) {
  const isConstant = ![path, body, ...Object.values(headers)].some((text) => text.includes('{n}'))
  const fields = Object.entries(headers).map(([name, value]) => `[${lua(name)}]=${numbered(value)}`)
  const words = [lua(method), numbered(path), `{${fields.join(', ')}}`]
  const format = `wrk.format(${[...words, body === '' ? 'nil' : numbered(body)].join(', ')})`
  return `
local n, same = ${aNumber()}, nil
request = function()
  if same then return same end
  n = n + 1
  local written = ${format}
  if ${isConstant} then same = written end
  return written
end
done = function(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  local line = '\\n@ {"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\\n'
  io.write(string.format(line, summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
`
}

/** To count on from: small enough for an amount of money, and not that of another run. */
export function aNumber() {
  return 1e6 + (Date.now() % 9000) * 10_000
}

function numbered(text) {
  return text.split('{n}').map(lua).join(' .. string.format("%.0f", n) .. ')
}

function lua(text) {
  return JSON.stringify(text)
}

function readReport(text) {
  const line = /^@ (.+)$/m.exec(text)
  if (!line) throw new Error(`wrk did not report:\n${text}`)
  const { requests, us, p50, p99, errors } = JSON.parse(line[1])
  return { perSecond: requests / (us / 1e6), requests, p50: p50 / 1000, p99: p99 / 1000, errors }
}

async function output(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  }
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`wrk ended with ${code}:\n${text}`)
  return text
}
