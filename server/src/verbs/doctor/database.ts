import type { Config } from '../../config.ts'
import { demoStaff } from '../../demo/people.ts'
import { findUserByEmail, hasStaff } from '../../modules/identity/index.ts'
import type { Pool } from '../../platform/database.ts'
import {
  findSealedKey,
  inspectDatabase,
  type DatabaseFacts,
} from '../../platform/inspect-database.ts'
import { findSecretKey } from '../../platform/secret-key.ts'
import { createSecrets } from '../../platform/secrets.ts'
import { fail, ok, unless, warn, type Look } from './look.ts'

const oldestVersion = 150_000
/** Beside those for requests: four jobs and two for their queue, and one that hears notices. */
const otherConnections = 7

/** How the database is set up, and whether what lies in it belongs to this configuration. */
export async function examineDatabase(db: Pool, config: Config): Promise<Look[]> {
  const facts = await inspectDatabase(db)
  const looks = [
    facts.versionNumber < oldestVersion
      ? fail('postgresql', `PostgreSQL ${facts.version} is too old: 15 is the oldest that will do`)
      : ok('postgresql', facts.version),
    ...examineSafety(facts),
    ...examineRoom(facts, config),
    facts.ownsSchema
      ? warn('roles', `${facts.role} serves and may change the schema: see DATABASE_OWNER_URL`)
      : ok('roles', `${facts.role} serves and may not change the schema`),
  ]
  if (!facts.hasSchema) {
    return [...looks, fail('schema', 'there is none yet: run the migrate verb, or start Bureau')]
  }
  return [...looks, ...(await examineKey(db, config)), ...(await examinePeople(db, config))]
}

function examineSafety(facts: DatabaseFacts): Look[] {
  const { isStandby, encoding, fsync, fullPageWrites, synchronousCommit } = facts
  const looks = [
    ...(isStandby ? [fail('durability', 'it is a standby: name the primary')] : []),
    ...(fsync && fullPageWrites
      ? []
      : [
          fail('durability', 'fsync or full_page_writes is off: a power cut may destroy all of it'),
        ]),
    ...unless(
      !synchronousCommit,
      'durability',
      'synchronous_commit is off: a crash forgets what was acknowledged last',
    ),
    ...unless(encoding !== 'UTF8', 'encoding', `${encoding} cannot hold every name: use UTF8`),
  ]
  return looks.length > 0 ? looks : [ok('durability', 'what is acknowledged is on disk')]
}

function examineRoom({ connections }: DatabaseFacts, { databasePool }: Config): Look[] {
  const needed = databasePool + otherConnections
  return needed > connections
    ? [
        fail(
          'connections',
          `a process needs ${needed} and ${connections} are allowed: lower DATABASE_POOL`,
        ),
      ]
    : [ok('connections', `${needed} for a process, ${connections} allowed`)]
}

/** Under another key every token, second factor and link of this business is worthless. */
async function examineKey(db: Pool, { secretKey, dataDir }: Config): Promise<Look[]> {
  const key = secretKey ?? (await findSecretKey(dataDir))
  const sealed = await findSealedKey(db)
  if (sealed === undefined) return [ok('key of the database', 'none yet: the first login makes it')]
  if (key === undefined) return [fail('key of the database', 'SECRET_KEY is missing')]
  try {
    createSecrets(key).decrypt('stored-keys', sealed)
    return [ok('key of the database', 'it is the one that we have')]
  } catch {
    return [fail('key of the database', 'it was kept under another SECRET_KEY: bring that back')]
  }
}

async function examinePeople(db: Pool, { production }: Config): Promise<Look[]> {
  const known = await Promise.all(
    demoStaff.map(async ({ email }) => await findUserByEmail(db, 'staff', email)),
  )
  const leftOver = known.filter((user) => user?.active)
  return [
    (await hasStaff(db))
      ? ok('staff', 'there is somebody')
      : warn('staff', 'there is nobody: the next start shows a link to become the first admin'),
    ...unless(
      production && leftOver.length > 0,
      'demo',
      `${leftOver.length} logins of the demo can sign in: shut them out`,
    ),
  ]
}
