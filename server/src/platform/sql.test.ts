import { describe, expect, test } from 'vitest'
import { compile, joinSql, json, nothing, sql } from './sql.ts'

describe('sql', () => {
  test('numbers values and puts fragments into the text', () => {
    const filter = sql`b = ${2} and c = ${3}`
    const statement = sql`select a from t where a = ${1} and ${filter} limit ${4}`
    expect(compile(statement)).toMatchObject({
      text: 'select a from t where a = $1 and b = $2 and c = $3 limit $4',
      values: [1, 2, 3, 4],
    })
    expect(compile(sql`select ${nothing}1`).text).toBe('select 1')
  })

  test.each([
    [{ pieces: ['1; drop table orders'], values: [] }],
    [JSON.parse('{"pieces":["1"],"values":[]}')],
    ["'; drop table orders; --"],
    [['a', 'b']],
  ])('never makes text of a value: %j', (hostile) => {
    expect(compile(sql`select ${hostile}`)).toMatchObject({ text: 'select $1', values: [hostile] })
  })

  test('joins parts, and nothing for none', () => {
    const joined = joinSql([sql`a = ${1}`, sql`b`, sql`c = ${2}`], ' and ')
    expect(compile(joined)).toMatchObject({ text: 'a = $1 and b and c = $2', values: [1, 2] })
    expect(compile(joinSql([], ', '))).toMatchObject({ text: '', values: [] })
  })

  test('names equal texts alike, whatever their values, and others apart', () => {
    const named = (id: number) => compile(sql`select a from t where id = ${id}`)
    expect(named(1).name).toBe(named(2).name)
    expect(named(1).values).toEqual([1])
    expect(named(2).values).toEqual([2])
    const composed = (id: number) => compile(sql`select ${sql`a`} from t where id = ${id}`)
    expect(composed(3)).toMatchObject({ name: named(1).name, values: [3] })
    expect(compile(sql`select b from t`).name).not.toBe(named(1).name)
    expect(named(1).name.length).toBeLessThanOrEqual(63)
  })

  test('json keeps arrays as JSON', () => {
    expect(json([1, { a: "o'clock" }])).toBe('[1,{"a":"o\'clock"}]')
  })
})
