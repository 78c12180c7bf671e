// Runs the tests, after whatever has to be done before them.
import { launch } from './launch.mjs'

launch(() => import('./steps/test.mjs'))
