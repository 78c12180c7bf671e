import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { json, sql } from '../../../platform/sql.ts'

export interface SecondFactorRow {
  /** Encrypted. */
  readonly secret: string
  readonly activatedAt: Date | null
}

export async function findSecondFactor(
  db: Db,
  userId: Id<'usr'>,
): Promise<SecondFactorRow | undefined> {
  return await db.maybeOne<SecondFactorRow>(sql`
    select secret, activated_at from second_factors where user_id = ${userId}`)
}

/** Keeps a secret that no code has been shown for, in the place of the one before. */
export async function insertPendingFactor(
  tx: Tx,
  { userId, secret, now }: { userId: Id<'usr'>; secret: string; now: Date },
): Promise<void> {
  await tx.run(sql`
    insert into second_factors (user_id, secret, last_step, created_at)
    values (${userId}, ${secret}, 0, ${now})
    on conflict (user_id) do update set secret = excluded.secret, last_step = 0,
      created_at = excluded.created_at
      where second_factors.activated_at is null`)
}

/** False where this pending secret is not there any more. */
export async function activateFactor(
  tx: Tx,
  { userId, secret, step, now }: { userId: Id<'usr'>; secret: string; step: number; now: Date },
): Promise<boolean> {
  const activated = await tx.run(sql`
    update second_factors set activated_at = ${now}, last_step = ${step}::int
    where user_id = ${userId} and secret = ${secret} and activated_at is null`)
  return activated === 1
}

/** Uses the code of a period up: false for one that was used, or followed by one that was. */
export async function useStep(
  tx: Tx,
  { userId, secret, step }: { userId: Id<'usr'>; secret: string; step: number },
): Promise<boolean> {
  const used = await tx.run(sql`
    update second_factors set last_step = ${step}::int
    where user_id = ${userId} and secret = ${secret} and activated_at is not null
      and last_step < ${step}::int`)
  return used === 1
}

export async function insertRecoveryCodes(
  tx: Tx,
  { userId, hashes, now }: { userId: Id<'usr'>; hashes: readonly string[]; now: Date },
): Promise<void> {
  await tx.run(sql`
    insert into recovery_codes (user_id, id, created_at)
    select ${userId}, hash, ${now}::timestamptz
    from jsonb_array_elements_text(${json(hashes)}::jsonb) as given (hash)`)
}

/** How many are left after this one; undefined where there is no such code. */
export async function useRecoveryCode(
  tx: Tx,
  userId: Id<'usr'>,
  hash: string,
): Promise<number | undefined> {
  const used = await tx.run(sql`
    delete from recovery_codes where user_id = ${userId} and id = ${hash}`)
  if (used === 0) return undefined
  const { left } = await tx.one<{ left: number }>(sql`
    select count(*) as left from (
      select 1 from recovery_codes where user_id = ${userId} limit 100) as kept`)
  return left
}

/** The secret with its recovery codes. */
export async function deleteSecondFactor(tx: Tx, userId: Id<'usr'>): Promise<void> {
  await tx.run(sql`delete from recovery_codes where user_id = ${userId}`)
  await tx.run(sql`delete from second_factors where user_id = ${userId}`)
}
