import type { Transporter } from 'nodemailer'
import type { Finding } from './health.ts'

/** A mail that is ready to go: one recipient, both forms of the text, the id that it keeps. */
export interface OutgoingMail {
  /** `<local@domain>` without the brackets; the same at every attempt. */
  readonly messageId: string
  readonly to: Mailbox
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly at: Date
  /** Written by the machine: out-of-office replies are then not sent back (RFC 3834). */
  readonly isAutomatic: boolean
}

export interface Mailbox {
  /** Empty where only the address is known. */
  readonly name: string
  readonly address: string
}

/** A link that somebody waits for, where there is no server to mail it. */
export interface UnmailedLink {
  readonly to: string
  readonly subject: string
  readonly url: string
}

/** The way to the mail server. */
export interface Mail {
  /** Who the mails are from. */
  readonly sender: Mailbox
  /** Whether there is a server; without one mails wait in the outbox, where they can be read. */
  readonly isConfigured: boolean
  /** The server could not be reached a moment ago: whoever has time waits. */
  isResting(): boolean
  /**
   * Leave to send, given back by calling what is returned. Undefined while the server rests, and
   * after that until the first one who tries has succeeded: a silent server holds one worker up,
   * not all of them.
   */
  takeTurn(): (() => void) | undefined
  /** Resolves once the server has taken the mail. Throws `MailError`. */
  send(mail: OutgoingMail): Promise<void>
  /** Shows the link to whoever runs Bureau; undefined where nobody may see it but its owner. */
  readonly showLink: ((link: UnmailedLink) => void) | undefined
  check(): Promise<Finding>
  close(): Promise<void>
}

/**
 * Why a mail was not taken. `refused`: this mail will never be taken. `deferred`: the server wants
 * it later. `unreachable`: the server takes none at all at the moment, for want of a connection or
 * because it does not accept us.
 */
export type MailFailure = 'refused' | 'deferred' | 'unreachable'

export class MailError extends Error {
  readonly failure: MailFailure

  /** `message` is for staff: it holds no credentials and no address of the machine. */
  constructor(failure: MailFailure, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'MailError'
    this.failure = failure
  }
}

export interface MailOptions {
  /** `smtp://` or `smtps://`, with credentials where the server wants them. */
  readonly url: string
  readonly sender: Mailbox
  /** How long nobody tries after the server could not be reached. */
  readonly restMs?: number
  /** Of one mail, from the first byte to the last. */
  readonly deadlineMs?: number
}

/** Each step of the conversation, and the whole of it, ends: a silent server holds nobody up. */
const connectTimeoutMs = 10_000
const silenceTimeoutMs = 20_000
const defaultDeadlineMs = 45_000
const defaultRestMs = 30_000

/** Sends by SMTP over a few connections that are kept open. */
export function openMail(options: MailOptions): Mail {
  const { sender, restMs = defaultRestMs, deadlineMs = defaultDeadlineMs } = options
  // The package is loaded by the first mail, not by the start.
  let opening: Promise<Transporter> | undefined
  const open = (): Promise<Transporter> => (opening ??= openTransport(options.url, deadlineMs))
  const turns = takeTurns(restMs)
  return {
    sender,
    isConfigured: true,
    isResting: turns.isResting,
    takeTurn: turns.take,
    showLink: undefined,
    send: async (mail) => {
      try {
        await sendWithin(await open(), deadlineMs, { mail, sender })
        turns.reached()
      } catch (error) {
        const failure = toMailError(error)
        if (failure.failure === 'unreachable') turns.missed()
        else turns.reached()
        throw failure
      }
    },
    check: async () => await look(await open()),
    close: async () => (await opening)?.close(),
  }
}

async function openTransport(url: string, deadlineMs: number): Promise<Transporter> {
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    url,
    pool: true,
    maxConnections: 3,
    // What is tried again is decided by the outbox, which counts and tells.
    maxRequeues: 0,
    idleTimeout: silenceTimeoutMs,
    connectionTimeout: connectTimeoutMs,
    greetingTimeout: connectTimeoutMs,
    dnsTimeout: connectTimeoutMs,
    socketTimeout: Math.min(silenceTimeoutMs, deadlineMs),
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  // A kept connection that breaks while nobody uses it is no failure of anybody's mail.
  transport.on('error', () => undefined)
  return transport
}

/** No server: mails wait. `showLink` is for machines where the operator is the only reader. */
export function keepMail(sender: Mailbox, showLink?: Mail['showLink']): Mail {
  return {
    sender,
    isConfigured: false,
    isResting: () => false,
    takeTurn: () => () => undefined,
    showLink,
    send: async () => {
      throw new MailError('unreachable', 'No mail server is configured.')
    },
    check: async () => ({ status: 'pass', output: 'not configured: mails wait in the outbox' }),
    close: async () => undefined,
  }
}

/** `Name <address>` or an address alone, as MAIL_FROM has it; else an address of the host's. */
export function readSender(mailFrom: string | undefined, publicUrl: string): Mailbox {
  if (mailFrom === undefined) return { name: '', address: `bureau@${new URL(publicUrl).hostname}` }
  const [, name = '', address = mailFrom] = /^([^<]*)<([^<>]+)>$/.exec(mailFrom) ?? []
  return { name: name.trim(), address }
}

interface Turns {
  isResting(): boolean
  take(): (() => void) | undefined
  reached(): void
  missed(): void
}

/** Who may try when: everybody while all is well, nobody for a while after it was not, then one. */
function takeTurns(restMs: number): Turns {
  let restsUntil = 0
  let isDoubtful = false
  const taken = new Set<symbol>()
  const isResting = (): boolean => performance.now() < restsUntil || (isDoubtful && taken.size > 0)
  return {
    isResting,
    take: () => {
      if (isResting()) return undefined
      const turn = Symbol('turn')
      taken.add(turn)
      return () => void taken.delete(turn)
    },
    reached: () => {
      restsUntil = 0
      isDoubtful = false
    },
    missed: () => {
      restsUntil = performance.now() + restMs
      isDoubtful = true
    },
  }
}

/** Whether it is one address, and of a form that no part of a mail can take for more. */
export function isMailable(address: string): boolean {
  return /^[^\s@<>()[\]\\,;:"\p{Cc}]+@[^\s@<>()\\,;:"\p{Cc}]+$/u.test(address)
}

async function sendWithin(
  transport: Transporter,
  deadlineMs: number,
  { mail, sender }: { mail: OutgoingMail; sender: Mailbox },
): Promise<void> {
  const { to, at, isAutomatic, ...content } = mail
  if (!isMailable(to.address)) {
    throw new MailError('refused', 'The address is none that can be mailed.')
  }
  await transport.sendMail({
    ...content,
    subject: onOneLine(mail.subject),
    from: sender,
    to: { name: onOneLine(to.name), address: to.address },
    envelope: { from: sender.address, to: [to.address] },
    date: at,
    headers: isAutomatic ? { 'Auto-Submitted': 'auto-generated' } : {},
    signal: AbortSignal.timeout(deadlineMs),
  })
}

/** What could begin another header, or turn the line around, becomes a space. */
function onOneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ').trim()
}

/** Connects and signs in, and nothing more. */
async function look(transport: Transporter): Promise<Finding> {
  try {
    await transport.verify()
    return { status: 'pass' }
  } catch (error) {
    return { status: 'warn', output: toMailError(error).message }
  }
}

interface SmtpFailure {
  readonly code?: unknown
  readonly command?: unknown
  readonly responseCode?: unknown
  readonly response?: unknown
}

function toMailError(error: unknown): MailError {
  if (error instanceof MailError) return error
  const { code, command, responseCode, response } = (error ?? {}) as SmtpFailure
  const step = typeof command === 'string' ? command : ''
  if (typeof responseCode === 'number' && isAboutThisMail(step)) {
    const failure = responseCode >= 500 ? 'refused' : 'deferred'
    return new MailError(failure, `The mail server said: ${quote(response)}`, error)
  }
  if (code === 'EABORT' || code === 'ETIMEDOUT') {
    return new MailError('unreachable', 'The mail server does not answer in time.', error)
  }
  if (code === 'EAUTH' || code === 'ENOAUTH') {
    return new MailError('unreachable', 'The mail server does not accept our credentials.', error)
  }
  if (typeof responseCode === 'number') {
    return new MailError('unreachable', `The mail server takes nothing: ${quote(response)}`, error)
  }
  if (code === 'EENVELOPE' || code === 'EMESSAGE') {
    return new MailError('refused', 'The mail cannot be handed to this mail server.', error)
  }
  const reason = typeof code === 'string' ? ` (${code})` : ''
  return new MailError('unreachable', `The mail server cannot be reached${reason}.`, error)
}

/** An answer to RCPT or DATA is about the recipient or the text; one before that is about us. */
function isAboutThisMail(step: string): boolean {
  return step.startsWith('RCPT TO') || step.startsWith('DATA')
}

const maxQuoted = 200

/** Foreign words, so short and on one line. */
function quote(response: unknown): string {
  return onOneLine(typeof response === 'string' ? response : 'nothing').slice(0, maxQuoted)
}
