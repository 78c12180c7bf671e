import { isIP } from 'node:net'

/** The variables as the process got them. */
export type Environment = Readonly<Record<string, string | undefined>>

export const mebibyte = 1024 * 1024

/** One variable at a time, by the names that there are. */
export interface EnvironmentReader<Name extends string> {
  text(name: Name): string | undefined
  integer(name: Name, rule: { fallback: number; minimum: number; maximum: number }): number
  positive(name: Name, fallback: number): number
  flag(name: Name, fallback: boolean): boolean
  choice<Choice extends string>(
    name: Name,
    choices: readonly Choice[],
    fallback: Choice | '',
  ): Choice
  checked(name: Name, fallback: string, isGood: (text: string) => boolean, shape: string): string
  list(name: Name): string[]
  /** False where the variable is absent: nobody's word for an address counts. */
  networks(name: Name): string[] | false
  origin(name: Name): string | undefined
  origins(name: Name): string[]
  databaseUrl(name: Name): string | undefined
  /** An address of one of these schemes, such as `smtp:`. */
  address(name: Name, rule: { schemes: readonly string[]; example: string }): string | undefined
  mailbox(name: Name): string | undefined
  /** The pattern is for the whole text. */
  matching(name: Name, pattern: RegExp, shape: string): string | undefined
  optionalInteger(name: Name, range: { minimum: number; maximum: number }): number | undefined
}

/** Reads one variable at a time; a wrong one adds a sentence to `problems` and yields its default. */
export function createReader<Name extends string>(
  environment: Environment,
  problems: string[],
): EnvironmentReader<Name> {
  type Reader = EnvironmentReader<Name>
  const text: Reader['text'] = (name) => environment[name]?.trim() || undefined
  const read = <T>(name: Name, fallback: T, { parse, shape }: Shape<T>): T => {
    const given = text(name)
    if (given === undefined) return fallback
    const value = parse(given)
    if (value === undefined) problems.push(`${name} must be ${shape}.`)
    return value ?? fallback
  }
  const checked: Reader['checked'] = (name, fallback, isGood, shape) =>
    read(name, fallback, { parse: (given) => (isGood(given) ? given : undefined), shape })
  return {
    text,
    integer: (name, { fallback, minimum, maximum }) =>
      read(name, fallback, {
        parse: numberWhere((n) => Number.isInteger(n) && n >= minimum && n <= maximum),
        shape: `a whole number from ${minimum} to ${maximum}`,
      }),
    positive: (name, fallback) =>
      read(name, fallback, {
        parse: numberWhere((n) => n > 0 && Number.isFinite(n)),
        shape: 'a number above 0',
      }),
    flag: (name, fallback) => read(name, fallback, { parse: toFlag, shape: 'true or false' }),
    choice: <Choice extends string>(
      name: Name,
      choices: readonly Choice[],
      fallback: Choice | '',
    ) => {
      const isGood = (given: string): boolean => choices.some((choice) => choice === given)
      return checked(name, fallback, isGood, `one of ${choices.join(', ')}`) as Choice
    },
    checked,
    list: (name) => toList(text(name) ?? ''),
    networks: (name) =>
      read<string[] | false>(name, false, {
        parse: toNetworks,
        shape: 'a list of addresses or networks such as 10.0.0.0/8, or loopback',
      }),
    origin: (name) => read(name, undefined, { parse: toOrigin, shape: originShape }),
    origins: (name) => read(name, [], { parse: toOrigins, shape: `a list, each ${originShape}` }),
    databaseUrl: (name) =>
      read(name, undefined, { parse: toDatabaseUrl, shape: 'a postgres:// address' }),
    address: (name, { schemes, example }) =>
      read<string | undefined>(name, undefined, {
        parse: (given) => (isAddress(given, schemes) ? given : undefined),
        shape: `an address such as ${example}`,
      }),
    mailbox: (name) =>
      read<string | undefined>(name, undefined, {
        parse: (given) => (isMailbox(given) ? given : undefined),
        shape: 'an e-mail address, alone or as Name <name@example.com>',
      }),
    matching: (name, pattern, shape) =>
      read<string | undefined>(name, undefined, {
        parse: (given) => (pattern.test(given) ? given : undefined),
        shape,
      }),
    optionalInteger: (name, { minimum, maximum }) =>
      read<number | undefined>(name, undefined, {
        parse: numberWhere((n) => Number.isInteger(n) && n >= minimum && n <= maximum),
        shape: `a whole number from ${minimum} to ${maximum}`,
      }),
  }
}

/** How a text becomes a value, undefined for one that does not fit, and what fits in words. */
interface Shape<T> {
  readonly parse: (text: string) => T | undefined
  readonly shape: string
}

const originShape = 'an address such as https://example.com, without a path'

function numberWhere(isGood: (value: number) => boolean): (text: string) => number | undefined {
  return (text) => (isGood(Number(text)) ? Number(text) : undefined)
}

function toFlag(text: string): boolean | undefined {
  if (/^(true|on|1|yes)$/i.test(text)) return true
  return /^(false|off|0|no)$/i.test(text) ? false : undefined
}

function toList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** As the web server takes them: a name of a range, or an address with the bits of its network. */
function toNetworks(text: string): string[] | undefined {
  const networks = toList(text)
  const isNetwork = (network: string): boolean => {
    if (['loopback', 'linklocal', 'uniquelocal'].includes(network)) return true
    const [address = '', bits] = network.split('/')
    const size = isIP(address) === 6 ? 128 : 32
    const isMask = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= size)
    return isIP(address) !== 0 && isMask
  }
  return networks.length > 0 && networks.every((one) => isNetwork(one)) ? networks : undefined
}

function toOrigins(text: string): string[] | undefined {
  const origins = toList(text).map((part) => toOrigin(part))
  return origins.every((origin) => origin !== undefined) ? origins : undefined
}

function toDatabaseUrl(text: string): string | undefined {
  // As the driver reads it: with a socket in `?host=` the place of the host may be empty.
  const address = text.replace('@/', '@socket/')
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(address)) return undefined
  const { username, password, hostname, pathname } = new URL(address)
  const isReadable = [username, password, hostname, pathname].every(isDecodable)
  return isReadable ? text : undefined
}

/** Whether each `%` begins the code of a character. */
function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined
  } catch {
    return false
  }
}

function toOrigin(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { origin, pathname, protocol } = new URL(text)
  return pathname === '/' && /^https?:$/.test(protocol) ? origin : undefined
}

function isAddress(text: string, schemes: readonly string[]): boolean {
  return URL.canParse(text) && schemes.includes(new URL(text).protocol)
}

/** Not whether the mailbox is there: whether it can stand in a header. */
function isMailbox(text: string): boolean {
  const address = /^[^<>\r\n"]*<([^<>]+)>$/.exec(text)?.[1] ?? text
  return /^[^\s@<>,;"]+@[^\s@<>,;"]+$/.test(address) && text.length <= 320
}
