import { describe, expect, it } from 'vitest'
import { findRequestSchema, type Description } from '../src/conformance/description.ts'
import { findReplyProblems } from '../src/conformance/reply-check.ts'
import { findMisfits } from '../src/conformance/request-check.ts'
import { readSdkFields } from '../src/conformance/sdk-types.ts'
import { decodeForm } from '../src/form.ts'
import { withSandbox } from './support.ts'

const DESCRIPTION: Description = {
  paths: {
    '/v1/things': {
      get: {
        parameters: [
          { in: 'query', name: 'limit', schema: { type: 'integer' } },
          { in: 'header', name: 'x', schema: { type: 'string' } },
        ],
      },
      post: {
        requestBody: {
          content: {
            'application/x-www-form-urlencoded': {
              schema: {
                additionalProperties: false,
                properties: {
                  amount: { type: 'integer' },
                  live: { type: 'boolean' },
                  metadata: {
                    anyOf: [
                      { additionalProperties: { type: 'string' }, type: 'object' },
                      { enum: [''], type: 'string' },
                    ],
                  },
                  name: { maxLength: 3, type: 'string' },
                  tags: { items: { enum: ['a', 'b'], type: 'string' }, type: 'array' },
                },
                required: ['amount'],
                type: 'object',
              },
            },
          },
        },
      },
    },
    '/v1/things/{thing}': { get: {} },
    '/v1/things/search': { get: {} },
  },
}

const misfitsOf = (body: string) => {
  const found = findRequestSchema(DESCRIPTION, 'POST', '/v1/things')
  return findMisfits(found!.schema, decodeForm(body)).map(
    ({ param, problem }) => `${param} ${problem}`,
  )
}

describe('the check of requests', () => {
  it.each([
    ['amount=5&live=true&metadata[a]=b&name=abc&tags[]=a', []],
    ['amount=5&metadata=', []],
    ['', ['amount is missing']],
    ['amount=5.5', ['amount is not an integer']],
    ['amount=5&colour=red', ['colour is unknown']],
    ['amount=5&live=yes', ['live is not a boolean']],
    ['amount=5&name=abcd', ['name is longer than 3 characters']],
    ['amount=5&tags[]=c', ['tags[0] is not one of a, b']],
    ['amount=5&tags=a', ['tags is not an array']],
    ['amount=5&metadata[a][b]=c', ['metadata[a] is not text']],
  ])('%s: %j', (body, problems) => {
    expect(misfitsOf(body)).toEqual(problems)
  })

  it('finds the most literal template, and none where there is none', () => {
    expect(findRequestSchema(DESCRIPTION, 'GET', '/v1/things/search')?.template).toBe(
      '/v1/things/search',
    )
    expect(findRequestSchema(DESCRIPTION, 'GET', '/v1/things/x')?.template).toBe(
      '/v1/things/{thing}',
    )
    expect(findRequestSchema(DESCRIPTION, 'GET', '/v1/nothing')).toBeUndefined()
    const list = findRequestSchema(DESCRIPTION, 'GET', '/v1/things')!
    expect(findMisfits(list.schema, { x: '1' })).toHaveLength(1)
  })
})

describe('the check of replies', () => {
  it('sees missing, invented and mistyped fields', () =>
    withSandbox({}, async (_sandbox, stripe) => {
      const { lastResponse: _response, ...refundLike } = await stripe.balance.retrieve()
      const balance = JSON.parse(JSON.stringify(refundLike)) as Record<string, unknown>
      const fixtures = { balance: { ...balance, connect_reserved: [] } }
      const problemsOf = (reply: object) => findReplyProblems(fixtures, 200, JSON.stringify(reply))
      expect(problemsOf(balance)).toEqual([])
      const { pending: _pending, ...partial } = balance
      expect(problemsOf(partial)).toEqual(['balance.pending is missing'])
      expect(problemsOf({ ...balance, bonus: 1 })).toEqual(['balance.bonus is invented'])
      expect(problemsOf({ ...balance, livemode: 'no' })).toEqual([
        'balance.livemode is string, not boolean',
      ])
      expect(problemsOf({ object: 'unicorn' })).toEqual(['is of an unknown kind: unicorn'])
      expect(findReplyProblems(fixtures, 400, '{"error":{"type":"x"}}')).toEqual([
        'error.message is not text',
      ])
    }))

  it('reads which fields the installed SDK requires', () => {
    const fields = readSdkFields('PaymentIntents', 'PaymentIntent')
    expect(fields.get('amount')).toBe('required')
    expect(fields.get('hooks')).toBe('optional')
    expect(readSdkFields('Checkout/Sessions', 'SessionCreateParams').has('success_url')).toBe(true)
    expect(readSdkFields('Balance', 'NoSuchThing').size).toBe(0)
  })
})
