import { toInstantOrNull } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import type { Health } from '../schema.ts'

/** Whether this process can serve: its database, its schema and its keys are there. */
export async function checkReadiness({
  instruments,
}: AppContext): Promise<{ status: 'pass' | 'fail' }> {
  const { status } = await instruments.health.readiness()
  return { status: status === 'fail' ? 'fail' : 'pass' }
}

/** How all parts are; the parts themselves for staff who may see them. */
export async function reportHealth({ instruments, actor }: AppContext): Promise<Health> {
  const { status, checks } = await instruments.health.report()
  if (actor.kind !== 'staff' || !actor.permissions.has('system:read')) return { status }
  return {
    status,
    checks: Object.fromEntries(
      checks.map(({ name, at, ...finding }) => [name, [{ ...finding, time: toInstantOrNull(at) }]]),
    ),
  }
}
