// Installs what is missing and builds what has changed.
import { launch } from './launch.mjs'

launch(() => import('./steps/prepare.mjs'))
