import { endpoint, type Endpoint } from '../../http/endpoint.ts'
import { Liveness } from './schema.ts'
import { checkReadiness } from './usecases.ts'

export const routes: readonly Endpoint[] = [
  endpoint(
    'GET /livez',
    {
      summary: 'Whether the process lives',
      description: 'Asks nothing of anybody: a process that answers is alive.',
      access: 'public',
      reply: Liveness,
      limit: 'probe',
      example: { reply: { status: 'pass' } },
    },
    async () => ({ status: 'pass' as const }),
  ),
  endpoint(
    'GET /readyz',
    {
      summary: 'Whether the process can serve',
      description: 'Asks the database; 503 while it does not answer.',
      access: 'public',
      reply: Liveness,
      limit: 'probe',
      example: { reply: { status: 'pass' } },
    },
    (ctx) => checkReadiness(ctx),
  ),
]
