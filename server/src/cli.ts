import type { Verb, VerbName } from './cli/verbs.ts'
import { reasonOf } from './cli/reason.ts'
import { readConfig } from './config.ts'
import { productVersion } from './version.ts'

/** The operator's verbs. The first word on the command line names one; `start` when absent. */
const sayings: Readonly<Record<VerbName | 'version' | 'help', string>> = {
  start: 'start Bureau',
  migrate: 'bring the database to the newest schema, and stop',
  seed: 'fill an empty business with the demo, and stop: seed --size s|m|l|xl',
  doctor: 'look at all that Bureau stands on, and say what to do',
  backup: 'copy all of the business into a new folder within ./backups',
  restore: 'bring a backup into an empty business: restore <its folder>',
  reset: 'empty the business; reset --yes means it',
  openapi: "print the API's description",
  version: 'print the version',
  help: 'print this',
}

await main(process.argv[2] ?? 'start', process.argv.slice(3))

async function main(name: string, words: readonly string[]): Promise<void> {
  if (!isVerb(name)) {
    console.error(`Bureau does not know the verb ${name}.`)
    printHelp()
    process.exitCode = 2
    return
  }
  try {
    const run = await find(name)
    await run(words)
  } catch (error) {
    console.error(reasonOf(error))
    process.exitCode = 1
  }
}

function isVerb(name: string): name is keyof typeof sayings {
  return Object.hasOwn(sayings, name)
}

/** The product is loaded once its configuration is right: what is wrong there is told at once. */
async function find(
  name: keyof typeof sayings,
): Promise<(words: readonly string[]) => void | Promise<void>> {
  if (name === 'help') return printHelp
  if (name === 'version') return () => console.log(productVersion)
  loadEnvironmentFile()
  const config = readConfig()
  const { verbs }: { verbs: Readonly<Record<VerbName, Verb>> } = await import('./cli/verbs.ts')
  return (words) => verbs[name](config, words)
}

/** Variables of the environment win over those of the file. */
function loadEnvironmentFile(): void {
  try {
    process.loadEnvFile('.env')
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isMissing) throw error
  }
}

function printHelp(): void {
  console.log('Verbs:')
  for (const [name, saying] of Object.entries(sayings)) {
    console.log(`  ${name.padEnd(10)} ${saying}`)
  }
}
