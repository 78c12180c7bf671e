import type { Config } from '../../config.ts'
import { documentsDirectory } from '../../main.ts'
import { isOpenToOthers } from '../../platform/files.ts'
import { fail, ok, unless, warn, type Look } from './look.ts'

/** What can be told without asking anybody: that each variable is right was seen before. */
export async function examineConfiguration(config: Config): Promise<Look[]> {
  const { production, publicUrl, databaseUrl, secretKey, smtpUrl } = config
  const mode = production ? 'production' : 'development'
  const isPlain = production && !publicUrl.startsWith('https://')
  const isForgettable = databaseUrl !== undefined && secretKey === undefined
  const findings = [
    ok('node', process.version),
    ok('configuration', mode),
    isPlain
      ? warn('public address', 'PUBLIC_URL is not https: passwords would travel in the clear')
      : ok('public address', publicUrl),
    isForgettable
      ? warn('secret key', 'it lies in DATA_DIR, apart from its database: set SECRET_KEY')
      : ok('secret key', secretKey === undefined ? 'kept in DATA_DIR' : 'from SECRET_KEY'),
    ...unless(production && config.demo, 'demo', 'DEMO=true fills a business in production'),
    ...unless(
      production && smtpUrl === undefined,
      'mail server',
      'without SMTP_URL nobody is told anything: mails wait in the outbox',
    ),
    ...unless(
      production && config.metricsToken === undefined,
      'metrics',
      'without METRICS_TOKEN only staff can read the figures',
    ),
  ]
  return [...findings, ...(await examineFiles(config))]
}

async function examineFiles(config: Config): Promise<Look[]> {
  const { dataDir } = config
  const privateFiles = [`${dataDir}/secret.key`, `${dataDir}/postgres/passwords.json`]
  const places = [...privateFiles, documentsDirectory(config), '.env']
  const looks: Look[] = []
  for (const place of places) {
    const isOpen = await isOpenToOthers(place)
    if (isOpen === true) looks.push(fail('private files', `${place} is open to others: chmod go=`))
  }
  return looks.length > 0 ? looks : [ok('private files', 'open to their owner alone')]
}
