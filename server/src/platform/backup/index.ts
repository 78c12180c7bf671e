export { connectForCopies } from './connection.ts'
export {
  createBackup,
  listFiles,
  openFile,
  putFile,
  readManifest,
  readText,
  verifyFiles,
} from './folder.ts'
export type { BackupWriter, WrittenBackup } from './folder.ts'
export { inspectTarget, loadRows, markUnfinished } from './load.ts'
export { isKeyOf, isSealed, sealManifest } from './manifest.ts'
export type { Inventory, Manifest } from './manifest.ts'
export { readSnapshot } from './snapshot.ts'
export type { Snapshot } from './snapshot.ts'
