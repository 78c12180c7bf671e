import { pino, stdSerializers, type DestinationStream, type Logger as PinoLogger } from 'pino'

export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child'>

/** Members that never reach a log line, wherever they stand in what is logged. */
const secretMembers = [
  'password',
  'token',
  'accessToken',
  'refreshToken',
  'orderToken',
  'clientSecret',
  'authorization',
  'cookie',
  'secret',
  'currentPassword',
  'newPassword',
  'totp',
  'recoveryCodes',
  '["set-cookie"]',
  '["x-order-token"]',
]

const redacted = '[redacted]'

/** One JSON object a line on standard output, or on `destination`. */
export function createLogger(level: string, destination?: DestinationStream): PinoLogger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      redact: {
        paths: secretMembers.flatMap((member) => atAnyDepth(member)),
        censor: redacted,
      },
      // What a member's name does not give away, such as a token quoted in a message.
      hooks: { streamWrite: withoutSecrets },
    },
    destination ?? openStandardOutput(),
  )
}

/** What a reader that stands still may leave waiting; what comes after it is dropped. */
const maxWaitingBytes = 4 * 1024 * 1024

/**
 * Standard output, whose troubles are not the process's: where its disk is full or nobody reads it,
 * lines wait, bounded, and are written when that is over.
 */
function openStandardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: false, maxLength: maxWaitingBytes })
  let isStuck = false
  output.on('error', () => (isStuck = true)).on('write', () => (isStuck = false))
  // At its end a process writes what waits, and the library tries that for ever on a full disk.
  const flush = output.flushSync.bind(output)
  output.flushSync = () => {
    if (!isStuck) flush()
  }
  return output
}

/** The database quotes the row that it refused, and rows hold people: its own words stay out. */
function describeError(error: Error): object {
  const described = stdSerializers.err(error)
  const { detail: _detail, where: _where, parameters: _parameters, ...rest } = described
  return rest
}

/** Members of what is logged, of what stands in it and of what stands in that. */
function atAnyDepth(member: string): string[] {
  const dotted = member.startsWith('[') ? member : `.${member}`
  return [member, `*${dotted}`, `*.*${dotted}`]
}

/** Keys, tokens and passwords by the form that they have wherever they stand. */
const secretTexts = new RegExp(
  [
    // JSON Web Tokens; Stripe's keys and client secrets; whatever is sent as a bearer. A token's
    // head is short: without a bound, a hostile text would be read to its end for each `eyJ` in it.
    String.raw`\beyJ[\w-]{8,500}\.[\w-]{8,}(?:\.[\w-]*)?`,
    String.raw`\b(?:sk|rk)_(?:live|test)_\w{8,}|\bwhsec_\w{8,}`,
    String.raw`\b\w{2,40}_secret_\w{8,}`,
    String.raw`(?<=\b[Bb]earer\s)[\w.~+/=-]{8,}`,
    // The password in an address such as that of a database.
    String.raw`(?<=:\/\/[^\s:@/"]{0,100}:)[^\s@/"]{1,200}(?=@)`,
  ].join('|'),
  'g',
)

/** Every secret text holds one of these: a line without them, as most are, is told quickly. */
const secretHints = ['eyJ', 'k_live_', 'k_test_', 'whsec_', '_secret_', 'earer', '://'] as const

/** Digits in groups, as people write card numbers: at least as many as the shortest has. */
const digitRuns = /(?<![\w.-])\d(?:[ -]?\d){12,}(?![\w-])/g

/** The text with what looks like a secret or a card number taken out; a JSON line stays one. */
export function withoutSecrets(text: string): string {
  const withoutTexts = secretHints.some((hint) => text.includes(hint))
    ? text.replaceAll(secretTexts, redacted)
    : text
  return withoutTexts.replaceAll(digitRuns, (run: string, offset: number, whole: string) => {
    // A bare number in JSON must stay a number.
    const isBare = /[:[,]/.test(whole[offset - 1] ?? '')
    return withoutCardNumbers(run, (digits) => (isBare ? '9'.repeat(digits.length) : redacted))
  })
}

/** A run may hold more than a card's number: any groups in a row, 13 to 19 digits, may be one. */
function withoutCardNumbers(run: string, replace: (digits: string) => string): string {
  const groups = run.split(/(?<=[ -])/)
  const kept: string[] = []
  for (let first = 0; first < groups.length;) {
    const length = countCardGroups(groups, first)
    const digits = groups.slice(first, first + Math.max(length, 1)).join('')
    kept.push(length === 0 ? digits : replace(digits))
    first += Math.max(length, 1)
  }
  return kept.join('')
}

/** How many groups from this one on are a card's number; 0 where none are. */
function countCardGroups(groups: readonly string[], first: number): number {
  let digits = ''
  for (let next = first; next < groups.length && digits.length <= 19; next += 1) {
    digits += groups[next]?.replace(/\D/, '') ?? ''
    if (digits.length >= 13 && digits.length <= 19 && isCardNumber(digits)) return next + 1 - first
  }
  return 0
}

/** Luhn's check digit (ISO/IEC 7812-1). */
function isCardNumber(text: string): boolean {
  const digits = Array.from(text, Number).toReversed()
  const sum = digits.reduce((total, digit, index) => {
    const weighed = index % 2 === 0 ? digit : digit * 2
    return total + (weighed > 9 ? weighed - 9 : weighed)
  }, 0)
  return sum % 10 === 0
}
