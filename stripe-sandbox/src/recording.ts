import { closeSync, openSync, writeFileSync } from 'node:fs'
import type { ApiAnswer, ApiRequest } from './api.ts'

/** One exchange with the API as it went over the wire; a line of a recording. */
export interface RecordedExchange {
  method: string
  path: string
  query: string
  idempotencyKey: string | null
  stripeVersion: string | null
  requestBody: string
  /** Null when the connection was cut instead of answered. */
  status: number | null
  replyBody: string
}

/** A recording grows no further than this: it is for journeys of tests, not for load. */
const MAX_RECORDING_BYTES = 256 * 1024 * 1024

export interface Recorder {
  record(request: ApiRequest, answer: ApiAnswer | undefined): void
  close(): void
}

/** Appends every exchange of the API to a file of JSON lines. */
export function openRecorder(path: string): Recorder {
  const descriptor = openSync(path, 'a', 0o600)
  let bytes = 0
  return {
    record(request, answer) {
      if (bytes > MAX_RECORDING_BYTES) return
      const exchange: RecordedExchange = {
        method: request.method,
        path: request.path,
        query: request.query,
        idempotencyKey: request.headers['idempotency-key'] ?? null,
        stripeVersion: request.headers['stripe-version'] ?? null,
        requestBody: request.body,
        status: answer?.status ?? null,
        replyBody: answer?.body ?? '',
      }
      const line = `${JSON.stringify(exchange)}\n`
      writeFileSync(descriptor, line)
      bytes += Buffer.byteLength(line)
    },
    close: () => closeSync(descriptor),
  }
}
