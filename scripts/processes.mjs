// Runs the tests of Bureau as a process: its starts, its embedded database, its docs, its browser.
import { launch } from './launch.mjs'

launch(() => import('./steps/processes.mjs'))
