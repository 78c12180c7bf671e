import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The fields of an interface of the SDK: whether each must be there. */
export type SdkFields = ReadonlyMap<string, 'optional' | 'required'>

/**
 * The fields of an interface that the installed SDK declares, `PaymentIntents` and
 * `PaymentIntentCreateParams` say; empty when there is none of that name.
 */
export function readSdkFields(file: string, name: string): SdkFields {
  const lines = readFileSync(join(sdkFolder(), 'resources', `${file}.d.ts`), 'utf8').split('\n')
  const opening = new RegExp(`^( *)(?:export )?interface ${name}(?: extends [^{]+)? \\{$`)
  const start = lines.findIndex((line) => opening.test(line))
  const fields = new Map<string, 'optional' | 'required'>()
  if (start === -1) return fields
  const indent = opening.exec(lines[start] ?? '')?.[1] ?? ''
  const field = new RegExp(`^${indent} {4}(\\w+)(\\??):`)
  for (const line of lines.slice(start + 1)) {
    if (line === `${indent}}`) break
    const match = field.exec(line)
    if (match?.[1] !== undefined) fields.set(match[1], match[2] === '?' ? 'optional' : 'required')
  }
  return fields
}

function sdkFolder(): string {
  return dirname(fileURLToPath(import.meta.resolve('stripe')))
}
