import { readFileSync } from 'node:fs'
import path from 'node:path'
import { repository } from '../support/sources.ts'

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly hasInstallScript?: boolean
}

export const readJson = (file: string): unknown =>
  JSON.parse(readFileSync(path.join(repository, file), 'utf8'))

const { packages } = readJson('package-lock.json') as { packages: Record<string, LockedPackage> }
/** All that come from a registry, by where they lie. */
const locked = Object.entries(packages).filter(([place]) => place.includes('node_modules/'))
export const foreign = locked.filter(([, { link }]) => !link)
export const inProduction = foreign.filter(([, { dev }]) => !dev)
