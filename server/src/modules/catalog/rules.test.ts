import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newId, type Id } from '../../kernel/id.ts'
import { lowestPrice, problemsOf } from './rules/options.ts'
import { changedFields } from './rules/patch.ts'
import { askedWords, searchVector, wordsOf } from './rules/search.ts'
import { slugFrom, toLatin } from './rules/text.ts'
import { refusalOf } from './rules/tree.ts'
import { maxSlugLength, type ServiceOption } from './schema.ts'

const anyText = fc.string({ unit: 'grapheme', maxLength: 200 })

describe('slugFrom', () => {
  test('is a valid slug, or empty, for any name', () => {
    fc.assert(
      fc.property(anyText, (name) => {
        const slug = slugFrom(name)
        expect(slug).toMatch(/^([a-z0-9]+(-[a-z0-9]+)*)?$/)
        // Room for the longest suffix, -10000.
        expect(slug.length + '-10000'.length).toBeLessThanOrEqual(maxSlugLength)
      }),
    )
  })

  test('leaves a slug as it is', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9]{1,10}(-[a-z0-9]{1,10}){0,5}$/), (slug) => {
        expect(slugFrom(slug)).toBe(slug)
      }),
    )
  })

  test.each([
    ['UK limited company', 'uk-limited-company'],
    ['  Café & Crème, brûlée!  ', 'cafe-creme-brulee'],
    ['Straße, Ærø, Łódź, İstanbul', 'strasse-aero-lodz-istanbul'],
    ['Щука и ёж', 'shchuka-i-ezh'],
    ['Άλφα Ωμέγα', 'alfa-omega'],
    ['北京', ''],
    ['!!!', ''],
  ])('turns %j into %j', (name, slug) => {
    expect(slugFrom(name)).toBe(slug)
  })
})

describe('words of a search', () => {
  test('are the same whether a text is typed with accents, in capitals or decomposed', () => {
    expect(wordsOf('CAFÉ Zürich')).toEqual(['cafe', 'zurich'])
    expect(wordsOf('café Zürich'.normalize('NFD'))).toEqual(['cafe', 'zurich'])
  })

  test('hold letters, marks and digits only, so that they need no escaping', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        for (const word of wordsOf(text)) expect(word).toMatch(/^[\p{L}\p{M}\p{N}]{1,40}$/u)
      }),
    )
  })

  test('are bounded and distinct in a question', () => {
    expect(askedWords('a b c d e f g h i j k l m n o p')).toHaveLength(12)
    expect(askedWords('tax Tax TÁX')).toEqual(['tax'])
    expect(askedWords('%_\\ --')).toEqual([])
  })

  test('carry the weight of where they stand', () => {
    const text = { name: 'Tax return', summary: 'A tax', description: 'Return it' }
    expect(searchVector(text)).toBe("'tax':1A,4B 'return':2A,5C 'a':3B 'it':6C")
  })

  test('of a long description are bounded', () => {
    const description = Array.from({ length: 4000 }, (_, index) => `w${index}`).join(' ')
    const vector = searchVector({ name: 'x', summary: null, description })
    expect(vector.split(' ')).toHaveLength(1000)
    const repeated = searchVector({ name: 'x', summary: null, description: 'y '.repeat(9000) })
    expect(repeated.match(/C/g)).toHaveLength(8)
  })

  test('of other scripts stay as they are', () => {
    expect(toLatin('東京 한국 हिन्दी')).toBe('東京 한국 हिन्दी')
  })
})

describe('rules of options', () => {
  const option = (key: string, required: boolean, ...deltas: number[]): ServiceOption => ({
    key,
    name: key,
    required,
    choices: deltas.map((priceDelta, index) => ({ key: `c${index}`, name: 'c', priceDelta })),
  })
  const proposed = (price: number, ...options: ServiceOption[]) => ({
    slug: undefined,
    price: { amount: price, currency: 'GBP' },
    options,
    metadata: {},
  })

  test('no choice of any customer makes a service cheaper than its lowest price', () => {
    const options = fc.array(
      fc.tuple(fc.boolean(), fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1 })),
      { maxLength: 5 },
    )
    fc.assert(
      fc.property(options, fc.infiniteStream(fc.nat()), (drawn, picks) => {
        const all = drawn.map(([required, deltas], index) =>
          option(`o${index}`, required, ...deltas),
        )
        const paid = all.reduce((sum, { required, choices }) => {
          const pick = picks.next().value % (choices.length + (required ? 0 : 1))
          return sum + (choices[pick]?.priceDelta ?? 0)
        }, 100)
        expect(paid).toBeGreaterThanOrEqual(lowestPrice(100, all))
      }),
    )
  })

  test('an optional reduction counts, a required one with a dearer choice counts too', () => {
    expect(lowestPrice(100, [option('a', false, -30, 20)])).toBe(70)
    expect(lowestPrice(100, [option('a', false, 30, 20)])).toBe(100)
    expect(lowestPrice(100, [option('a', true, 30, 20)])).toBe(120)
  })

  test('each problem is told with its pointer', () => {
    expect(problemsOf(proposed(100, option('a', true, -100)))).toEqual([])
    expect(problemsOf(proposed(99, option('a', true, -100)))).toMatchObject([
      { pointer: '/options', code: 'negative_price' },
    ])
    const twice = option('a', true, 0, 0)
    const repeated = { ...twice, choices: [...twice.choices, ...twice.choices] }
    expect(problemsOf(proposed(1, twice, repeated)).map(({ pointer }) => pointer)).toEqual([
      '/options/1/key',
      '/options/1/choices/2/key',
      '/options/1/choices/3/key',
    ])
    expect(problemsOf({ ...proposed(1), slug: 'bulk' })).toMatchObject([{ pointer: '/slug' }])
    const foreign = { ...proposed(1), price: { amount: 1, currency: 'ZZZ' } }
    expect(problemsOf(foreign)).toMatchObject([{ pointer: '/price/currency' }])
    const large = { ...proposed(1), metadata: { text: 'é'.repeat(8200) } }
    expect(problemsOf(large)).toMatchObject([{ pointer: '/metadata', code: 'too_large' }])
    const members = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [i, i]))
    expect(problemsOf({ ...proposed(1), metadata: members(50) })).toEqual([])
    const many = { ...proposed(1), metadata: members(51) }
    expect(problemsOf(many)).toMatchObject([{ pointer: '/metadata', code: 'too_large' }])
  })
})

describe('rules of the tree', () => {
  const [a, b, c, d, e] = Array.from({ length: 5 }, () => newId('cat', new Date(0))) as [
    Id<'cat'>,
    Id<'cat'>,
    Id<'cat'>,
    Id<'cat'>,
    Id<'cat'>,
  ]

  test('a category stands neither below itself nor below what stands below it', () => {
    expect(refusalOf({ categoryId: a, height: 1, lineage: [a] })?.code).toBe('category_cycle')
    expect(refusalOf({ categoryId: a, height: 3, lineage: [c, b, a] })?.code).toBe('category_cycle')
    expect(refusalOf({ categoryId: a, height: 1, lineage: [c, b] })).toBeUndefined()
  })

  test('five levels are the most, counted with what moves along', () => {
    expect(refusalOf({ categoryId: undefined, height: 1, lineage: [a, b, c, d] })).toBeUndefined()
    const sixth = { categoryId: undefined, height: 1, lineage: [a, b, c, d, e] }
    expect(refusalOf(sixth)?.code).toBe('category_too_deep')
    const branch = { categoryId: e, height: 3, lineage: [a, b, c] }
    expect(refusalOf(branch)?.code).toBe('category_too_deep')
  })
})

test('a change names the members that differ, however deep', () => {
  const before = { a: 1, b: { c: [1, 2] }, d: 'x' }
  expect(changedFields(before, { a: 1, b: { c: [1, 2] }, d: 'x' })).toEqual([])
  expect(changedFields(before, { a: 2, b: { c: [1, 3] }, d: 'x' })).toEqual(['a', 'b'])
})
