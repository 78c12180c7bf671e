import { join } from 'node:path'
import { accountOf, findFreePort, makeFolderFor, writeFileFor } from './component.mjs'

/** The test file of the European Institute for Computer Antivirus Research, which harms nobody. */
const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-', 'ANTIVIRUS-TEST-FILE!$H+H*']

/**
 * Lays out a clamd that knows one signature, for the EICAR test file; nothing is downloaded. It is
 * not started here, since tests start and stop it: `{ program, args, account, url }` says how.
 */
export async function configureScanner({ 'clamav-daemon': clamd }, folder) {
  const account = accountOf('clamav')
  makeFolderFor(account, folder)
  const signatures = makeFolderFor(account, join(folder, 'signatures'))
  // In any type of file (0), at any offset (*).
  const body = Buffer.from(EICAR.join('')).toString('hex')
  writeFileFor(account, join(signatures, 'eicar.ndb'), `Bureau.Test.Eicar:0:*:${body}\n`)
  const port = await findFreePort()
  const settings = `
Foreground yes
TCPAddr 127.0.0.1
TCPSocket ${port}
DatabaseDirectory ${signatures}
TemporaryDirectory ${folder}
StreamMaxLength 30M
MaxThreads 4
`
  const file = writeFileFor(account, join(folder, 'clamd.conf'), settings)
  const args = [`--config-file=${file}`]
  return { program: clamd, args, account, url: `tcp://127.0.0.1:${port}` }
}
