import { readChaos } from './chaos.ts'
import type { Control } from './control.ts'
import { ApiError, errorBody, ParameterError } from './errors.ts'
import { readFaults } from './faults.ts'
import { decodeForm, type Form, type FormValue } from './form.ts'
import {
  address,
  flag,
  integer,
  integerBetween,
  listOf,
  oneOf,
  readParameters,
  required,
  text,
} from './parameters.ts'

/** What the control API can do beyond the control itself. */
export interface ControlTargets {
  readonly control: Control
  readonly setWebhook: (url: string, secrets: readonly string[]) => void
}

type Act = (targets: ControlTargets, form: Form, id: string) => unknown

const settleResult = oneOf('fail', 'succeed')

/** The control API: JSON in, JSON out, under `/_sandbox`. */
const ROUTES: Readonly<Record<string, Act>> = {
  'GET /audit': ({ control }) => control.audit(),
  'GET /state': ({ control }) => control.counts(),
  'GET /faults': ({ control }) => ({ faults: control.listFaults() }),
  'PUT /faults': ({ control }, form) => {
    control.setFaults(readFaults(form))
    return { faults: control.listFaults() }
  },
  'GET /chaos': ({ control }) => control.chaos(),
  'PUT /chaos': ({ control }, form) => {
    control.setChaos(readChaos(form))
    return control.chaos()
  },
  'GET /deliveries': ({ control }, form) => {
    const { limit } = readParameters({ limit: integerBetween(1, 1000) }, form)
    return { deliveries: control.listDeliveries(limit) }
  },
  'PUT /webhook': ({ setWebhook }, form) => {
    const target = readParameters(
      { secrets: required(listOf(text, 5)), url: required(address) },
      form,
    )
    setWebhook(target.url, target.secrets)
    return { url: target.url }
  },
  'POST /webhooks/pause': ({ control }) => done(control.pauseWebhooks()),
  'POST /webhooks/resume': ({ control }) => done(control.resumeWebhooks()),
  'POST /events/:id/resend': ({ control }, _form, id) => done(control.resendEvent(id)),
  'POST /payments/:id/settle': ({ control }, form, id) =>
    control.settlePayment(id, readParameters({ result: settleResult }, form).result),
  'POST /payments/:id/authenticate': ({ control }, form, id) => {
    const { result } = readParameters({ result: oneOf('complete', 'fail') }, form)
    return control.finishAuthentication(id, result ?? 'complete')
  },
  'POST /payments/:id/dispute': ({ control }, form, id) =>
    control.openDispute(id, defined(readParameters({ inquiry: flag, reason: text }, form))),
  'POST /sessions/:id/pay': ({ control }, form, id) =>
    control.paySession(
      id,
      defined(readParameters({ email: text, name: text, paymentMethod: text }, form)),
    ),
  'POST /sessions/:id/expire': ({ control }, _form, id) => control.expireSession(id),
  'POST /disputes/:id/end': ({ control }, form, id) => {
    const { result } = readParameters({ result: required(oneOf('lose', 'review', 'win')) }, form)
    return control.endDispute(id, result)
  },
  'POST /refunds': ({ control }, form) =>
    control.refund(defined(readParameters(refundTerms, form))),
  'POST /refunds/:id/finish': ({ control }, form, id) => {
    const { result } = readParameters({ result: required(settleResult) }, form)
    return control.finishRefund(id, result)
  },
}

const refundTerms = {
  amount: integer,
  charge: text,
  paymentIntent: text,
  reason: oneOf('duplicate', 'fraudulent', 'requested_by_customer'),
  status: oneOf('pending', 'requires_action'),
}

export interface ControlAnswer {
  status: number
  body: string
}

/** Answers one request; the path is what follows `/_sandbox`. */
export function answerControl(
  targets: ControlTargets,
  request: { method: string; path: string; query: string; body: string },
): ControlAnswer {
  try {
    const route = findRoute(request.method, request.path)
    if (route === undefined) {
      const known = Object.keys(ROUTES).join(', ')
      throw new ApiError(
        404,
        'invalid_request_error',
        `Unknown control route; there are: ${known}.`,
      )
    }
    const form = { ...decodeForm(request.query), ...formOfJson(request.body) }
    return { status: 200, body: JSON.stringify(route.act(targets, form, route.id)) }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { status: error.status, body: JSON.stringify(errorBody(error)) }
  }
}

function findRoute(method: string, path: string): { act: Act; id: string } | undefined {
  const [, collection = '', id = '', verb = ''] = path.split('/')
  const exact = ROUTES[`${method} ${path}`]
  if (exact !== undefined) return { act: exact, id: '' }
  const act = ROUTES[`${method} /${collection}/:id/${verb}`]
  return act === undefined || id === '' ? undefined : { act, id }
}

/** A JSON object as a decoded form, so that the same readers check both. */
function formOfJson(body: string): Form {
  if (body === '') return {}
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw new ParameterError('The body is not valid JSON.')
  }
  const form = formValue(value, 0)
  if (typeof form === 'object' && !Array.isArray(form)) return form
  throw new ParameterError('The body must be a JSON object.')
}

function formValue(value: unknown, depth: number): FormValue {
  if (depth > 8) throw new ParameterError('The body is nested too deeply.')
  if (Array.isArray(value)) return value.map((entry) => formValue(entry, depth + 1))
  if (typeof value !== 'object' || value === null) return String(value)
  const entries = Object.entries(value).map(([name, entry]) => [name, formValue(entry, depth + 1)])
  return Object.fromEntries(entries) as Form
}

/** The same values without those that are undefined, for exact optional properties. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

function done(_nothing: void): { done: true } {
  return { done: true }
}
