import type { Id } from '../../../kernel/id.ts'
import type { StaffRole } from '../../../kernel/permissions.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { sql, type Sql } from '../../../platform/sql.ts'
import type { Part } from '../../../platform/together.ts'
import type { Audience, UserRole } from '../schema/index.ts'

/** A login without its password. */
export interface UserRow {
  readonly id: Id<'usr'>
  readonly audience: Audience
  readonly email: string
  readonly name: string
  readonly role: UserRole
  readonly customerId: Id<'cus'> | null
  readonly emailVerified: boolean
  readonly mfaEnabled: boolean
  readonly active: boolean
  /** While an invitation has not been taken up. */
  readonly invitedAt: Date | null
  readonly version: number
  readonly createdAt: Date
}

export interface UserWithPassword extends UserRow {
  readonly passwordHash: string
}

export interface NewUser {
  readonly id: Id<'usr'>
  readonly audience: Audience
  readonly email: string
  readonly emailKey: string
  readonly name: string
  readonly passwordHash: string
  readonly role: UserRole
  readonly customerId: Id<'cus'> | null
  readonly emailVerified: boolean
  readonly invitedAt: Date | null
  /** How many facts it begins with. */
  readonly version: number
  readonly createdAt: Date
}

/** False when the audience has a login with that e-mail already. */
export async function insertUser(tx: Tx, user: NewUser): Promise<boolean> {
  const inserted = await tx.run(sql`
    insert into users
      (id, audience, email, email_key, name, password_hash, role, customer_id,
        email_verified, mfa_enabled, active, invited_at, version, created_at, updated_at)
    values (${user.id}, ${user.audience}, ${user.email}, ${user.emailKey}, ${user.name},
      ${user.passwordHash}, ${user.role}, ${user.customerId}, ${user.emailVerified}, false, true,
      ${user.invitedAt}, ${user.version}, ${user.createdAt}, ${user.createdAt})
    on conflict (audience, email_key) do nothing`)
  return inserted === 1
}

export async function findUserByEmail(
  db: Db,
  audience: Audience,
  emailKey: string,
): Promise<UserWithPassword | undefined> {
  return await db.maybeOne<UserWithPassword>(sql`
    select ${userColumns}, password_hash
    from users where audience = ${audience} and email_key = ${emailKey}`)
}

export async function findUser(db: Db, id: Id<'usr'>): Promise<UserWithPassword | undefined> {
  return await db.maybeOne<UserWithPassword>(sql`
    select ${userColumns}, password_hash from users where id = ${id}`)
}

/** Held while sessions are begun or ended, so that neither overtakes a new password. */
export async function lockUser(tx: Tx, id: Id<'usr'>): Promise<UserWithPassword | undefined> {
  return await tx.maybeOne<UserWithPassword>(sql`
    select ${userColumns}, password_hash from users where id = ${id} for update`)
}

/** What may change of a login; what is absent stays. */
export interface LoginChange {
  readonly name?: string
  readonly role?: StaffRole
  readonly active?: boolean
  readonly passwordHash?: string
  readonly emailVerified?: true
  readonly mfaEnabled?: boolean
  /** Null when the invitation is taken up. */
  readonly invitedAt?: Date | null
}

/** Raises the version by as many as there are facts to tell; the caller holds the row. */
export async function updateUser(
  tx: Tx,
  id: Id<'usr'>,
  { change, facts, now }: { change: LoginChange; facts: number; now: Date },
): Promise<UserRow> {
  const { name, role, active, passwordHash, emailVerified, mfaEnabled, invitedAt } = change
  return await tx.one<UserRow>(sql`
    update users set
      name = coalesce(${name ?? null}::text, name),
      role = coalesce(${role ?? null}::text, role),
      active = coalesce(${active ?? null}::boolean, active),
      password_hash = coalesce(${passwordHash ?? null}::text, password_hash),
      email_verified = coalesce(${emailVerified ?? null}::boolean, email_verified),
      mfa_enabled = coalesce(${mfaEnabled ?? null}::boolean, mfa_enabled),
      invited_at = case when ${invitedAt !== undefined}::boolean
        then ${invitedAt ?? null}::timestamptz else invited_at end,
      version = version + ${facts}::int, updated_at = ${now}
    where id = ${id} returning ${userColumns}`)
}

export async function hasStaff(db: Db): Promise<boolean> {
  const { found } = await db.one<{ found: boolean }>(sql`
    select exists (select 1 from users where audience = 'staff') as found`)
  return found
}

/** One who may sign in: an invitation that nobody has taken up keeps no business going. */
export async function hasOtherActiveAdmin(db: Db, id: Id<'usr'>): Promise<boolean> {
  const { found } = await db.one<{ found: boolean }>(sql`
    select exists (
      select 1 from users
      where audience = 'staff' and role = 'admin' and active and invited_at is null
        and id <> ${id}) as found`)
  return found
}

/** How many names one reply may need: a page, with a few people an item. */
const maxNames = 1000

/** The names of whoever a query of ids finds, to be read with what it stands in. */
export const namesOf = (ids: Sql): Part<{ readonly id: string; readonly name: string }> => ({
  query: sql`select id, name from users where id in (${ids}) limit ${maxNames}`,
  instants: {},
})

/** What people are called who act in timelines and notes; ids that are no login's are left out. */
export async function listUserNames(db: Db, ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map()
  const rows = await db.many<{ id: string; name: string }>(sql`
    select id, name from users where id = any(${[...new Set(ids)]}::text[]) limit ${maxNames}`)
  return new Map(rows.map(({ id, name }) => [id, name]))
}

export const userColumns = sql`id, audience, email, name, role, customer_id, email_verified,
  mfa_enabled, active, invited_at, version, created_at`

/** Takes the one row that stands for the staff as a whole; made where it is missing. */
export async function lockStaffRoster(tx: Tx): Promise<SetupToken> {
  return await tx.one<SetupToken>(sql`
    insert into staff_roster as roster (id) values ('staff')
    on conflict (id) do update set setup_token_hash = roster.setup_token_hash
    returning setup_token_hash, setup_expires_at`)
}

export interface SetupToken {
  readonly setupTokenHash: string | null
  readonly setupExpiresAt: Date | null
}

export async function updateSetupToken(
  tx: Tx,
  { setupTokenHash, setupExpiresAt }: SetupToken,
): Promise<void> {
  await tx.run(sql`
    update staff_roster
    set setup_token_hash = ${setupTokenHash}, setup_expires_at = ${setupExpiresAt}
    where id = 'staff'`)
}
