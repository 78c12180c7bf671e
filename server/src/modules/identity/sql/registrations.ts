import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { enqueued } from '../../../platform/jobs.ts'
import { sql } from '../../../platform/sql.ts'

/** Somebody who has asked to register and has not proved the e-mail yet. */
export interface RegistrationRow {
  /** Of the login that it will become. */
  readonly id: Id<'usr'>
  readonly email: string
  readonly name: string
  readonly version: number
}

/** Writes it with the job that looks at it, in one statement whatever the e-mail. */
export async function insertRegistration(
  db: Db,
  { id, email, name, now, job }: Omit<RegistrationRow, 'version'> & { now: Date; job: string },
): Promise<void> {
  await db.run(sql`
    with registered as (
      insert into registrations (id, email, name, version, created_at)
      values (${id}, ${email}, ${name}, 0, ${now}) returning id
    )
    select ${enqueued(job, { id }, `${job}:${id}`)} from registered`)
}

export async function findRegistration(
  db: Db,
  id: Id<'usr'>,
): Promise<RegistrationRow | undefined> {
  return await db.maybeOne<RegistrationRow>(sql`
    select id, email, name, version from registrations where id = ${id}`)
}

export async function lockRegistration(
  tx: Tx,
  id: Id<'usr'>,
): Promise<RegistrationRow | undefined> {
  return await tx.maybeOne<RegistrationRow>(sql`
    select id, email, name, version from registrations where id = ${id} for update`)
}

/** Returns the version that it has now. */
export async function raiseRegistration(tx: Tx, id: Id<'usr'>): Promise<number> {
  const { version } = await tx.one<{ version: number }>(sql`
    update registrations set version = version + 1 where id = ${id} returning version`)
  return version
}

export async function deleteRegistration(tx: Tx, id: Id<'usr'>): Promise<void> {
  await tx.run(sql`delete from registrations where id = ${id}`)
}

/** A bounded number at a time. */
export async function deleteRegistrationsBefore(
  db: Db,
  instant: Date,
  limit: number,
): Promise<number> {
  return await db.run(sql`
    delete from registrations where id in (
      select id from registrations where created_at < ${instant}
      order by created_at limit ${limit})`)
}
