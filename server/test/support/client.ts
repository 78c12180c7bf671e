import { expect } from 'vitest'
import { admin } from './fresh-database.ts'

export interface Reply {
  readonly status: number
  /** Parsed where it is JSON; tests look into it freely. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export interface Wish {
  readonly token?: string
  readonly orderToken?: string
  /** The Idempotency-Key. */
  readonly key?: string
  /** Sent as JSON, or as a form where it is one. */
  readonly body?: unknown
}

/** One request to a running Bureau. */
export async function request(
  url: string,
  route: `${string} /${string}`,
  { token, orderToken, key, body }: Wish = {},
): Promise<Reply> {
  const [method = 'GET', path = '/'] = route.split(' ')
  const isForm = body instanceof FormData
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(orderToken ? { 'x-order-token': orderToken } : {}),
      ...(key ? { 'idempotency-key': key } : {}),
      ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: isJson && text !== '' ? JSON.parse(text) : text }
}

/** The same, where anything but that status is a failed test. */
export async function expectReply(
  status: number,
  ...asked: Parameters<typeof request>
): Promise<Reply['body']> {
  const reply = await request(...asked)
  expect(reply.status, `${asked[1]}: ${JSON.stringify(reply.body)}`).toBe(status)
  return reply.body
}

export async function signInAdmin(url: string): Promise<string> {
  return (await expectReply(200, url, 'POST /api/auth/admin/login', { body: admin })).accessToken
}
