// Runs every check that a change has to pass.
import { launch } from './launch.mjs'

launch(() => import('./steps/check.mjs'))
