import { simpleParser, type ParsedMail } from 'mailparser'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { SMTPServer, type SMTPServerDataStream } from 'smtp-server'

/** When in the conversation something goes wrong; `answer` is after the mail was taken. */
export type Stage = 'connect' | 'from' | 'rcpt' | 'data' | 'answer'

/** What goes wrong: a final no (5xx), a later (4xx), silence, or a closed connection. */
export type Trouble = 'refuse' | 'defer' | 'stall' | 'drop'

export interface ReceivedMail {
  readonly from: string
  readonly to: readonly string[]
  /** The bytes as they came. */
  readonly raw: string
  readonly parsed: ParsedMail
}

/** A real SMTP server on loopback that keeps what it takes, and can be told to misbehave. */
export interface MailServer {
  readonly url: string
  /** In the order in which they were taken. */
  readonly mails: readonly ReceivedMail[]
  /** From now on, until told otherwise. */
  trouble(stage: Stage, trouble: Trouble): void
  wellAgain(): void
  /** How often somebody has connected. */
  connections(): number
  close(): Promise<void>
}

export interface MailServerOptions {
  /** Asks for these, as `user:password`. */
  readonly credentials?: string
  /** Announces it, and then expects it. */
  readonly startTls?: boolean
}

export async function startMailServer(options: MailServerOptions = {}): Promise<MailServer> {
  const mails: ReceivedMail[] = []
  const sockets = new Set<Socket>()
  let current: { stage: Stage; trouble: Trouble } | undefined
  let connections = 0
  const drop = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  /** Goes on with the conversation, unless this is the stage at which something goes wrong. */
  const pass = (stage: Stage, next: (error?: Error) => void): void => {
    if (current?.stage !== stage) return next()
    if (current.trouble === 'drop') return drop()
    if (current.trouble === 'stall') return
    next(replyOf(current.trouble))
  }
  const server = new SMTPServer({
    disabledCommands: options.startTls ? [] : ['STARTTLS'],
    authOptional: options.credentials === undefined,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    logger: false,
    closeTimeout: 100,
    onAuth: ({ username, password }, _session, next) => {
      if (`${username}:${password}` === options.credentials) return next(null, { user: username })
      next(new Error('Invalid username or password'))
    },
    onConnect: (_session, next) => pass('connect', next),
    onMailFrom: (_address, _session, next) => pass('from', next),
    onRcptTo: (_address, _session, next) => pass('rcpt', next),
    onData: (stream, { envelope }, next) => {
      const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
      const to = envelope.rcptTo.map(({ address }) => address)
      void take(stream).then((taken) => {
        const keep = (error?: Error): void => {
          if (!error) mails.push({ from, to, ...taken })
          next(error)
        }
        if (current?.stage !== 'answer') return pass('data', keep)
        mails.push({ from, to, ...taken })
        pass('answer', next)
      })
    },
  })
  // A client that goes away in the middle is what some tests are about.
  server.on('error', () => undefined)
  server.server.on('connection', (socket: Socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  const { port } = server.server.address() as AddressInfo
  const login = options.credentials === undefined ? '' : `${options.credentials}@`
  return {
    url: `smtp://${login}127.0.0.1:${port}`,
    mails,
    trouble: (stage, trouble) => void (current = { stage, trouble }),
    wellAgain: () => void (current = undefined),
    connections: () => connections,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(resolve))
      drop()
      await closed
    },
  }
}

function replyOf(trouble: 'refuse' | 'defer'): Error {
  return trouble === 'refuse'
    ? Object.assign(new Error('5.1.1 No such mailbox'), { responseCode: 550 })
    : Object.assign(new Error('4.7.1 Try again later'), { responseCode: 451 })
}

async function take(stream: SMTPServerDataStream): Promise<Pick<ReceivedMail, 'raw' | 'parsed'>> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  const raw = Buffer.concat(chunks).toString('utf8')
  return { raw, parsed: await simpleParser(raw) }
}
