// Proves the promises of docs/promises.md one by one and prints what was measured.
import { launch } from './launch.mjs'

launch(() => import('./steps/trust.mjs'))
