import type { AppContext } from '../../../platform/context.ts'
import type { Finding, HealthCheck } from '../../../platform/health.ts'
import type { FigureSource } from '../../../platform/metrics.ts'
import { countTroubled, findUsage, usageOfAll } from '../sql.ts'

/** The store itself is looked at with the rest of the disk, by the module system. */
export const checks: readonly HealthCheck[] = [
  { name: 'scanner', critical: false, reachesOutside: true, run: checkScanner },
]

/** Without it uploads wait in quarantine: that is worse than usual and no failure. */
async function checkScanner({ scanner }: Pick<AppContext, 'scanner'>): Promise<Finding> {
  if (!scanner) return { status: 'pass', output: 'No scanner is configured.' }
  try {
    await scanner.check()
    return { status: 'pass' }
  } catch {
    return { status: 'warn', output: 'The scanner does not answer: uploads stay quarantined.' }
  }
}

export const figures: readonly FigureSource[] = [
  {
    name: 'documents',
    figures: [
      {
        name: 'bureau_documents_stored',
        help: 'Documents whose bytes are stored.',
        type: 'gauge',
      },
      { name: 'bureau_documents_stored_bytes', help: 'What they come to.', type: 'gauge' },
      {
        name: 'bureau_documents_waiting',
        help: 'Documents that wait for the scanner or for a review, counted to 10 000.',
        type: 'gauge',
        labels: ['for'],
      },
      {
        name: 'bureau_documents_missing',
        help: 'Documents whose bytes the last looks did not find.',
        type: 'gauge',
      },
    ],
    read: async ({ db }) => {
      const { files, bytes } = (await findUsage(db, usageOfAll)) ?? { files: 0, bytes: 0 }
      const { quarantined, unreviewed, missing } = await countTroubled(db)
      const waiting = 'bureau_documents_waiting'
      return [
        { figure: 'bureau_documents_stored', value: files },
        { figure: 'bureau_documents_stored_bytes', value: bytes },
        { figure: waiting, value: quarantined, labels: { for: 'scanner' } },
        { figure: waiting, value: unreviewed, labels: { for: 'review' } },
        { figure: 'bureau_documents_missing', value: missing },
      ]
    },
  },
]
