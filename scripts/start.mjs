// Starts Bureau, after whatever has to be done before it.
import { launch } from './launch.mjs'

launch(() => import('./steps/start.mjs'))
