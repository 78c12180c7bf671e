// Runs the tests against real components: PostgreSQL, PgBouncer and clamd from Debian.
import { launch } from './launch.mjs'

launch(() => import('./steps/components.mjs'))
