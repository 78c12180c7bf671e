import type { EventType, Listener } from '../platform/events.ts'
import type { Db } from '../platform/database.ts'
import type { HealthCheck } from '../platform/health.ts'
import type { Job } from '../platform/jobs.ts'
import type { FigureSource } from '../platform/metrics.ts'
import type { Subject } from '../platform/subjects.ts'
import type { Endpoint } from './endpoint.ts'

/** What one module brings: each `index.ts` exports one, and `modules/index.ts` lists them. */
export interface Module {
  readonly name: string
  readonly endpoints: readonly Endpoint[]
  readonly events: readonly EventType[]
  readonly listeners: readonly Listener[]
  readonly jobs: readonly Job[]
  /** What of it documents can be attached to. */
  readonly subjects?: readonly Subject[]
  /** What it needs to be well, for `/api/system/health`. */
  readonly checks?: readonly HealthCheck[]
  /** Its numbers, for `/api/system/metrics`. */
  readonly figures?: readonly FigureSource[]
  /** What its people are called, for the audit trail; ids that are none of its are left out. */
  readonly actorNames?: (db: Db, ids: readonly string[]) => Promise<ReadonlyMap<string, string>>
}
