import { build, listUnbuilt } from './build.mjs'
import { explainFailure } from './failure.mjs'
import { install, isInstalled } from './install.mjs'
import { takeTurn } from './turn.mjs'

/** Prepares the checkout; the exit code tells whether it could. */
export async function command() {
  await prepare()
}

/** Installs and builds what is not as it should be; false, after a sentence, where it cannot. */
export async function prepare() {
  const isDone = await explainFailure(async () => {
    if (isInstalled() && listUnbuilt().length === 0) return true
    // Looked at again inside: another process may have done it while we waited.
    return await takeTurn(async () => {
      const startedAt = performance.now()
      if (!isInstalled()) await install()
      const unbuilt = listUnbuilt()
      if (unbuilt.length === 0) return true
      await build(unbuilt)
      console.error(`Prepared in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
      return true
    })
  })
  return isDone === true
}
