import type { EventType, Listener } from '../platform/events.ts'
import type { Job } from '../platform/jobs.ts'
import type { Endpoint } from './endpoint.ts'

/** What one module brings: each `index.ts` exports one, and `modules/index.ts` lists them. */
export interface Module {
  readonly name: string
  readonly endpoints: readonly Endpoint[]
  readonly events: readonly EventType[]
  readonly listeners: readonly Listener[]
  readonly jobs: readonly Job[]
}
