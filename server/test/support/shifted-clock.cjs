// Required before all else by a process whose clock a test moves: what the file named by CLOCK_FILE
// holds is added to the time, in milliseconds, and read again at SIGUSR2. Timers keep their pace.
const { readFileSync } = require('node:fs')

const RealDate = Date
let offsetMs = readOffset()
process.on('SIGUSR2', () => {
  offsetMs = readOffset()
})

globalThis.Date = new Proxy(RealDate, {
  construct: (target, words, as) =>
    Reflect.construct(target, words.length > 0 ? words : [now()], as),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
})

function now() {
  return RealDate.now() + offsetMs
}

function readOffset() {
  return Number(readFileSync(process.env.CLOCK_FILE, 'utf8'))
}
