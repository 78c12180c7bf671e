import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../scripts/steps/project.mjs'
import { startProcess } from '../http/bureau.mjs'
import { median } from '../report/numbers.mjs'

/**
 * Milliseconds until Bureau is healthy: the first start on nothing with the demo made, a warm one
 * of the process alone, and a warm one by `npm start`; medians of so many rounds.
 */
export async function measureStarts(rounds) {
  const seen = { firstMs: [], warmMs: [], warmByNpmMs: [] }
  for (let round = 0; round < rounds; round += 1) {
    const dataDir = mkdtempSync(join(tmpdir(), 'bureau-bench-'))
    try {
      const direct = [process.execPath, join(root, 'server/dist/cli.js'), 'start']
      const byNpm = ['npm', 'start', '--silent']
      for (const [name, command] of [
        ['firstMs', byNpm],
        ['warmMs', direct],
        ['warmByNpmMs', byNpm],
      ]) {
        const started = await startProcess(command, { DATA_DIR: dataDir, PORT: '0' })
        seen[name].push(started.tookMs)
        await started.stop()
      }
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  }
  return Object.fromEntries(Object.entries(seen).map(([name, values]) => [name, median(values)]))
}
