/**
 * Reads and runs a command, given a function that imports it. Written in the oldest syntax that
 * modules know, so that an old Node is told what it lacks instead of failing to read.
 */
export function launch(load) {
  const found = process.versions.node
  const parts = found.split('.').map(Number)
  if (parts[0] < 20 || (parts[0] === 20 && parts[1] < 19)) {
    console.error('Bureau needs Node 20.19 or newer, and this is Node ' + found + '.')
    process.exit(1)
  }
  void load().then((module) => module.command(process.argv.slice(2)))
}
