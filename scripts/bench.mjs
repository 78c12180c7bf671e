// Measures Bureau beside its controls and prints the table.
import { launch } from './launch.mjs'

launch(() => import('./steps/bench.mjs'))
