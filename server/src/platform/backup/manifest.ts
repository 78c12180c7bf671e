import { createHash } from 'node:crypto'
import type { Secrets } from '../secrets.ts'

/** What a backup says of itself. It is written last: a backup without it is none. */
export interface Manifest extends Inventory {
  readonly format: typeof backupFormat
  /** Tells whether a key is the one that the business was kept under. */
  readonly keyCheck: string
  /** Over everything else here, by that key: nobody without it can make a backup or change one. */
  readonly seal: string
}

export interface Inventory {
  /** The version of Bureau that wrote it. */
  readonly product: string
  readonly createdAt: string
  readonly postgresql: string
  readonly migrations: readonly AppliedMigration[]
  /** Each after those that it refers to. */
  readonly tables: readonly StoredTable[]
  /** The last number that each gave, null where it has given none. */
  readonly sequences: Readonly<Record<string, number | null>>
  readonly jobs: { readonly count: number; readonly lastId: number }
  readonly documents: {
    readonly files: number
    readonly bytes: number
    /** Whose bytes were not in the store, or were not those that had been taken in. */
    readonly damaged: readonly string[]
  }
  /** False where SECRET_KEY is the operator's to keep. */
  readonly hasSecretKey: boolean
  /** Of `SHA256SUMS`, which has a line for each of the files. */
  readonly sums: { readonly files: number; readonly sha256: string }
}

export interface AppliedMigration {
  readonly name: string
  readonly checksum: string
}

export interface StoredTable {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: number
}

export const backupFormat = 1

export function sealManifest(inventory: Inventory, secrets: Secrets): Manifest {
  const unsealed = { format: backupFormat, ...inventory, keyCheck: keyCheckOf(secrets) } as const
  return { ...unsealed, seal: sealOf(unsealed, secrets) }
}

export function isKeyOf({ keyCheck }: Manifest, secrets: Secrets): boolean {
  return secrets.verify('backup', keyCheckText, keyCheck)
}

export function isSealed({ seal, ...unsealed }: Manifest, secrets: Secrets): boolean {
  return secrets.verify('backup', digestOf(unsealed), seal)
}

const keyCheckText = 'which key'

function keyCheckOf(secrets: Secrets): string {
  return secrets.sign('backup', keyCheckText)
}

function sealOf(unsealed: Omit<Manifest, 'seal'>, secrets: Secrets): string {
  return secrets.sign('backup', digestOf(unsealed))
}

/** JSON keeps the order of members, so that what was written is what is read. */
function digestOf(unsealed: Omit<Manifest, 'seal'>): string {
  return createHash('sha256').update(JSON.stringify(unsealed)).digest('hex')
}
