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
]

/** One JSON object a line on standard output, or on `destination`. */
export function createLogger(level: string, destination?: DestinationStream): PinoLogger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      redact: {
        paths: secretMembers.flatMap((member) => [member, `*.${member}`, `*.*.${member}`]),
        censor: '[redacted]',
      },
    },
    destination ?? pino.destination(1),
  )
}

/** The database quotes the row that it refused, and rows hold people: its own words stay out. */
function describeError(error: Error): object {
  const described = stdSerializers.err(error)
  const { detail: _detail, where: _where, parameters: _parameters, ...rest } = described
  return rest
}
