import { describe, expect, test } from 'vitest'
import { suggestionFor } from './rules.ts'
import { differenceKinds, differenceObjects } from './schema.ts'

describe('what a person may do about a difference', () => {
  test('is a sentence for each kind and object, with money and without', () => {
    for (const kind of differenceKinds) {
      for (const object of differenceObjects) {
        for (const theirs of [null, { status: 'succeeded' }, { status: 'canceled' }]) {
          const found = { kind, object, theirs, healed: false }
          expect(suggestionFor(found)).toMatch(/^[A-Z].*\.$/)
          expect(suggestionFor({ ...found, healed: true })).toContain('Nothing is left to do')
        }
      }
    }
  })

  test('tells money from what nobody paid', () => {
    const unknown = { kind: 'missing_here', object: 'payment', healed: false } as const
    expect(suggestionFor({ ...unknown, theirs: { status: 'succeeded' } })).toContain('give it back')
    expect(suggestionFor({ ...unknown, theirs: { status: 'failed' } })).toContain('nobody paid')
  })
})
