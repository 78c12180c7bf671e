import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'
import { querySchemaOf } from '../src/http/compile.ts'
import { genericErrorsOf } from '../src/http/openapi.ts'
import type { ErrorKind } from '../src/kernel/errors.ts'
import { inputCodes } from '../src/kernel/input-codes.ts'
import { modules } from '../src/modules/index.ts'
import { mailData } from '../src/modules/notifications/schema.ts'
import { sharedPlaces, writeErrorGuide } from './support/error-guide.ts'
import { isProductFile, listFiles, parse, repository, serverSource } from './support/sources.ts'

const guideFile = path.join(repository, 'docs/guides/errors.md')
const files = listFiles(serverSource, isProductFile)
const endpoints = modules.flatMap((module) => module.endpoints)

/** Every kind that a file exports, wherever it is declared. */
async function loadKinds(): Promise<ErrorKind[]> {
  const kinds = new Map<string, ErrorKind>()
  for (const file of files.filter((name) => codesDeclaredIn(name).length > 0)) {
    const exported = (await import(path.join(serverSource, file))) as Record<string, unknown>
    for (const value of Object.values(exported)) if (isKind(value)) kinds.set(value.code, value)
  }
  return [...kinds.values()]
}

function isKind(value: unknown): value is ErrorKind {
  return typeof value === 'function' && 'code' in value && 'remedy' in value && 'status' in value
}

/** The second argument of every call of `defineError`. */
function codesDeclaredIn(file: string): string[] {
  const codes: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && node.expression.getText() === 'defineError') {
      codes.push((node.arguments[1] as ts.StringLiteral).text)
    }
    ts.forEachChild(node, visit)
  }
  visit(parse(serverSource, file))
  return codes
}

describe('docs/guides/errors.md', () => {
  let kinds: ErrorKind[]
  beforeAll(async () => {
    kinds = await loadKinds()
  })

  test('is what the source says (UPDATE_GOLDEN=1 rewrites it)', async () => {
    const guide = writeErrorGuide(kinds, endpoints)
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(guideFile, guide)
    expect(await readFile(guideFile, 'utf8')).toBe(guide)
  })

  test('has every kind that the source declares, each code once', () => {
    const declared = files.flatMap((file) => codesDeclaredIn(file))
    expect(declared.length).toBeGreaterThan(40)
    expect(declared.filter((code, index) => declared.indexOf(code) !== index)).toEqual([])
    expect(kinds.map(({ code }) => code).toSorted()).toEqual(declared.toSorted())
  })

  test('has a cause and a remedy for each, in whole sentences', () => {
    const incomplete = kinds.filter(
      ({ title, remedy }) => !isSentence(title) || !isSentence(remedy),
    )
    expect(incomplete.map(({ code, title, remedy }) => ({ code, title, remedy }))).toEqual([])
    const faults = Object.entries(inputCodes).filter(
      ([, { cause, remedy }]) => !isSentence(cause) || !isSentence(remedy),
    )
    expect(faults).toEqual([])
  })

  test('says of each where it can come from', () => {
    const declared = new Set(
      endpoints.flatMap(({ contract }) => (contract.errors ?? []).map(({ code }) => code)),
    )
    const nowhere = kinds.filter(({ code }) => !(code in sharedPlaces) && !declared.has(code))
    expect(nowhere.map(({ code }) => code)).toEqual([])
  })

  test('names a shared place for each failure that no endpoint has to declare', () => {
    const generic = new Set(
      endpoints.flatMap((endpoint) => genericErrorsOf(endpoint).map(({ code }) => code)),
    )
    expect([...generic].filter((code) => !(code in sharedPlaces))).toEqual([])
    const known = kinds.map(({ code }) => code)
    expect(Object.keys(sharedPlaces).filter((code) => !known.includes(code))).toEqual([])
  })
})

describe('codes in `errors`', () => {
  /** What the validator complains of, by the keywords that the schemas of all endpoints have. */
  const schemas = endpoints.flatMap(({ contract }) => [
    contract.params,
    querySchemaOf(contract),
    contract.body,
  ])
  // The data of a mail is checked against the schema of its template.
  const keywords = new Set([...schemas, ...Object.values(mailData)].flatMap(keywordsOf))

  test('hold every keyword that a schema of ours can complain with', () => {
    expect(keywords.size).toBeGreaterThan(8)
    expect([...keywords].filter((keyword) => !(keyword in inputCodes))).toEqual([])
  })

  test('hold none that nothing can complain with', () => {
    const words = new Set(files.filter(saysCodes).flatMap((file) => textsIn(file)))
    const unused = Object.keys(inputCodes).filter((code) => !keywords.has(code) && !words.has(code))
    expect(unused).toEqual([])
  })
})

/** The table itself does not count as use. */
function saysCodes(file: string): boolean {
  return file !== 'kernel/input-codes.ts'
}

/** All texts and names of members: a code is one or the other. */
function textsIn(file: string): string[] {
  const texts: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) texts.push(node.text)
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) texts.push(node.name.text)
    ts.forEachChild(node, visit)
  }
  visit(parse(serverSource, file))
  return texts
}

/** These describe; nothing is refused by them. */
const annotations = new Set([
  '$id',
  'default',
  'deprecated',
  'description',
  'discriminator',
  'else',
  'example',
  'examples',
  'if',
  'items',
  'patternProperties',
  'properties',
  'then',
  'title',
  'x-secret',
])

/** The keywords of a schema and its parts by which a value can be refused. */
function keywordsOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const node = schema as Readonly<Record<string, unknown>>
  const own = Object.keys(node).filter((key) => !annotations.has(key) && !key.startsWith('~'))
  const members = ['properties', 'patternProperties'].flatMap((key) =>
    Object.values(node[key] ?? {}),
  )
  const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((key) => (node[key] ?? []) as unknown[])
  const inner = [node['items'], node['additionalProperties'], node['propertyNames']]
  const parts = [...members, ...branches, ...inner]
  return [...own, ...parts.flatMap((part) => keywordsOf(part))]
}

/** With a capital letter, or code, at its start, and a full stop at its end. */
function isSentence(text: string): boolean {
  return /^[A-Z`].{2,}\.$/s.test(text) && !text.includes('\n')
}
