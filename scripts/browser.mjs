// Prints the path of a Chromium, which it installs where there is none.
import { launch } from './launch.mjs'

launch(() => import('./steps/browser.mjs'))
