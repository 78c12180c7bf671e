import type { Config } from '../config.ts'
import type { OpenedProcess } from '../main.ts'
import type { Service } from '../modules/catalog/index.ts'
import { productVersion } from '../version.ts'
import type { DemoLogins, Prepared } from './prepare-business.ts'

/** What a start has to tell. */
export interface Start {
  readonly config: Config
  readonly running: Pick<OpenedProcess, 'sandbox' | 'migrations'> & { readonly url: string }
  readonly prepared: Prepared
  readonly tookMs: number
}

/** Tells the operator where everything is: a screen outside production, else a line. */
export function printBanner(start: Start): void {
  process.stdout.write(renderBanner(start))
}

export function renderBanner(start: Start): string {
  const { config, running, prepared } = start
  const seconds = `${(start.tookMs / 1000).toFixed(1)} s`
  const notes = [...notesOn(start), ...invitation(running.url, prepared.setupToken)]
  if (config.production) {
    const served = `Bureau ${productVersion} serves ${running.url}, ready in ${seconds}.`
    return `${[served, ...logins(prepared), ...notes].join('\n')}\n`
  }
  const blocks = [
    [`Bureau ${productVersion} is ready, in ${seconds}.`],
    addresses(start),
    logins(prepared),
    prepared.showcase && takesTestCards(config) ? purchase(running.url, prepared.showcase) : [],
    notes,
  ]
  const shown = blocks.filter((block) => block.length > 0).map((block) => indent(block))
  return `\n${shown.join('\n\n')}\n\n`
}

const labelWidth = 10

function labelled(label: string, text: string): string {
  return `${label.padEnd(labelWidth)}  ${text}`
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n')
}

function addresses({ config, running }: Start): string[] {
  const { url, sandbox } = running
  const isElsewhere = config.port !== 0 && config.publicUrl !== url
  return [
    labelled('API', `${url}/api`),
    labelled('Docs', `${url}/docs`),
    labelled('Health', `${url}/readyz`),
    ...(isElsewhere ? [labelled('Public', config.publicUrl)] : []),
    ...(sandbox
      ? [labelled('Payments', `${sandbox.url} stands in for Stripe: no money moves`)]
      : []),
    ...(config.payments === 'off' ? [labelled('Payments', 'off: no cards are taken')] : []),
  ]
}

function logins({ demo, namedAdmin }: Prepared): string[] {
  const lines = demo ? demoLogins(demo) : []
  if (!namedAdmin) return lines
  const made = namedAdmin.isNew ? 'made with ADMIN_PASSWORD' : 'as it was: never changed at a start'
  return [...lines, labelled('Admin', `${namedAdmin.email}, ${made}`)]
}

function demoLogins({ staff, customers, password }: DemoLogins): string[] {
  return [
    labelled('Staff', neighbours(staff)),
    labelled('Customers', neighbours(customers)),
    labelled('Password', `${password} for each of them`),
  ]
}

/** The first address in full; of the others, which have the same host, what stands before it. */
function neighbours([first = '', ...others]: readonly string[]): string {
  if (others.length === 0) return first
  const names = others.map((email) => email.replace(/@.*/, ''))
  return `${first}, and ${names.join(', ')} there too`
}

function purchase(url: string, service: Service): string[] {
  const chosen = service.options.flatMap(({ key, required, choices: [first] }) =>
    required && first ? [[key, first.key]] : [],
  )
  const item = { serviceId: service.id, quantity: 1, options: Object.fromEntries(chosen) }
  return [
    `Buy “${service.name}”:`,
    '',
    ...post(`${url}/api/checkout/process`, {
      items: [item],
      customer: { email: 'you@example.com', name: 'You' },
      paymentMethod: 'pm_card_visa',
    }),
  ]
}

/** The placeholder is too short for a password, so that nobody gets it by pasting. */
function invitation(url: string, token: string | undefined): string[] {
  if (token === undefined) return []
  return [
    'There is no staff yet. Whoever sends this first, within a day, becomes the admin:',
    '',
    ...post(`${url}/api/auth/admin/setup`, {
      token,
      email: 'you@example.com',
      name: 'Your Name',
      password: 'YOUR OWN',
    }),
  ]
}

/** In a shell, single quotes keep everything but themselves: there is none in what we send. */
function post(url: string, body: object): string[] {
  return [
    `curl -s ${url} \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '${JSON.stringify(body).replaceAll("'", '\\u0027')}'`,
  ]
}

/** Stripe takes its test cards with a test key only. */
function takesTestCards({ payments, stripeSecretKey = '' }: Config): boolean {
  return payments === 'sandbox' || /^(sk|rk)_test_/.test(stripeSecretKey)
}

function notesOn({ config, running }: Start): string[] {
  const notes: string[] = []
  if (!running.migrations.rolesApart) {
    notes.push(
      'One database role owns and serves: schema changes are not held apart, and triggers guard',
      'the events. DATABASE_OWNER_URL names a role of its own for migrations.',
    )
  }
  if (config.rateLimitScale !== 1) {
    notes.push(`RATE_LIMIT_SCALE multiplies every limit by ${config.rateLimitScale}.`)
  }
  return notes
}
