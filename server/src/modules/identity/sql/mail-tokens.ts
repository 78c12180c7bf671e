import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { enqueued } from '../../../platform/jobs.ts'
import { sql } from '../../../platform/sql.ts'
import type { MailPurpose } from '../schema/index.ts'

export interface MailTokenKey {
  /** A login, or a registration that will be one. */
  readonly userId: Id<'usr'>
  /** The hash of what only the mail holds. */
  readonly hash: string
}

/** Keeps a token, and of those before it the newest, so that `kept` remain. */
export async function insertMailToken(
  tx: Tx,
  token: MailTokenKey & { purpose: MailPurpose; createdAt: Date; expiresAt: Date },
  kept: number,
): Promise<void> {
  const { userId, hash, purpose, createdAt, expiresAt } = token
  await tx.run(sql`
    delete from mail_tokens where user_id = ${userId} and id in (
      select id from mail_tokens where user_id = ${userId} and purpose = ${purpose}
      order by created_at desc, id limit 100 offset ${kept - 1})`)
  await tx.run(sql`
    insert into mail_tokens (user_id, id, purpose, created_at, expires_at)
    values (${userId}, ${hash}, ${purpose}, ${createdAt}, ${expiresAt})`)
}

/** What a token that is still good is for. */
export async function findMailToken(
  db: Db,
  { userId, hash }: MailTokenKey,
  now: Date,
): Promise<MailPurpose | undefined> {
  const row = await db.maybeOne<{ purpose: MailPurpose }>(sql`
    select purpose from mail_tokens
    where user_id = ${userId} and id = ${hash} and expires_at > ${now}`)
  return row?.purpose
}

/** Takes a token that is still good out of use: of many at once one gets true. */
export async function takeMailToken(
  tx: Tx,
  { userId, hash, purpose }: MailTokenKey & { purpose: MailPurpose },
  now: Date,
): Promise<boolean> {
  const taken = await tx.run(sql`
    delete from mail_tokens
    where user_id = ${userId} and id = ${hash} and purpose = ${purpose} and expires_at > ${now}`)
  return taken === 1
}

/** Takes all links of these kinds out of use. */
export async function deleteMailTokens(
  tx: Tx,
  userId: Id<'usr'>,
  purposes: readonly MailPurpose[],
): Promise<void> {
  await tx.run(sql`
    delete from mail_tokens where user_id = ${userId} and purpose = any(${purposes}::text[])`)
}

/** A bounded number at a time. */
export async function deleteMailTokensBefore(db: Db, now: Date, limit: number): Promise<number> {
  return await db.run(sql`
    delete from mail_tokens where (user_id, id) in (
      select user_id, id from mail_tokens where expires_at <= ${now}
      order by expires_at limit ${limit})`)
}

/** Hands a login, or nobody, to a job: one statement, whoever it is. */
export async function enqueueForUser(db: Db, job: string, userId: Id<'usr'>): Promise<void> {
  await db.run(sql`select ${enqueued(job, { userId }, `${job}:${userId}`)}`)
}
