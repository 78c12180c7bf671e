import path from 'node:path'
import ts from 'typescript'
import { newId } from '../../src/kernel/id.ts'
import type { Context } from '../../src/platform/context.ts'
import type { StoredEvent } from '../../src/platform/events.ts'
import { announcement } from '../../src/platform/outbox.ts'
import { compile, sql, type Sql } from '../../src/platform/sql.ts'
import { parse } from './sources.ts'

/** A statement as the source has it, in one of the forms that its conditions allow. */
export interface FoundStatement {
  readonly at: string
  readonly text: string
}

/** No statement has more conditions than this allows; one that has is a list. */
const maxVariants = 64

/** Every statement of a file, with its fragments put in, once for each way a condition can go. */
export function statementsOf(folder: string, file: string): FoundStatement[] {
  const source = createSource(folder, file)
  return source.templates
    .filter((template) => !source.isFragment(template))
    .flatMap((template) => {
      const line = source.file.getLineAndCharacterOfPosition(template.getStart()).line + 1
      return source
        .expand(template)
        .map((variant) => ({ at: `${file}:${line}`, text: compile(variant).text }))
    })
    .filter(({ text }) => /^\s*(select|insert|update|delete|with)\b/i.test(text))
}

/** All text between backticks after `sql`, as it stands: for rules on the words. */
export function templateTextsOf(folder: string, file: string): FoundStatement[] {
  const source = createSource(folder, file)
  return source.templates.map((template) => ({
    at: `${file}:${source.file.getLineAndCharacterOfPosition(template.getStart()).line + 1}`,
    text: piecesOf(template.template).join('?'),
  }))
}

interface Source {
  readonly file: ts.SourceFile
  readonly templates: readonly ts.TaggedTemplateExpression[]
  isFragment(template: ts.TaggedTemplateExpression): boolean
  expand(expression: ts.Expression): Sql[]
  find(name: string): ts.Expression | undefined
}

const sources = new Map<string, Source>()

function createSource(folder: string, file: string): Source {
  const key = path.join(folder, file)
  const known = sources.get(key)
  if (known) return known
  const tree = parse(folder, file)
  const templates: ts.TaggedTemplateExpression[] = []
  const declared = new Map<string, ts.Expression>()
  const imported = new Map<string, string>()
  const visit = (node: ts.Node): void => {
    if (isSqlTemplate(node)) templates.push(node)
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer) {
      declared.set(node.name.text, node.initializer)
    }
    if (ts.isFunctionDeclaration(node) && node.name && node.body) {
      const result = node.body.statements.find((statement) => ts.isReturnStatement(statement))
      if (result?.expression) declared.set(node.name.text, result.expression)
    }
    if (ts.isImportSpecifier(node)) {
      const { moduleSpecifier } = node.parent.parent.parent
      imported.set(node.name.text, (moduleSpecifier as ts.StringLiteral).text)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)

  const find = (name: string): ts.Expression | undefined => declared.get(name)

  /** The fragment that a name stands for, here or where it is imported from. */
  const named = (name: string): Sql[] | undefined => {
    const here = declared.get(name)
    if (here) return fragment(here)
    const from = imported.get(name)
    if (from === undefined || !from.startsWith('.')) return undefined
    const other = createSource(folder, path.posix.join(path.posix.dirname(file), from))
    const there = other.find(name)
    return there && other.expand(there)
  }

  /** What an interpolation adds to the text; undefined for a value. */
  const fragment = (expression: ts.Expression): Sql[] | undefined => {
    if (isSqlTemplate(expression)) return expand(expression)
    if (ts.isParenthesizedExpression(expression)) return fragment(expression.expression)
    if (ts.isArrowFunction(expression) && !ts.isBlock(expression.body)) {
      return fragment(expression.body)
    }
    if (ts.isConditionalExpression(expression)) {
      const [yes, no] = [fragment(expression.whenTrue), fragment(expression.whenFalse)]
      return yes && no ? [...yes, ...no] : undefined
    }
    if (ts.isIdentifier(expression)) return named(expression.text)
    if (ts.isCallExpression(expression) && ts.isIdentifier(expression.expression)) {
      const name = expression.expression.text
      if (name !== 'announcement') return named(name)
      const condition = memberOf(expression.arguments[2], 'condition')
      return (condition ? (fragment(condition) ?? []) : [sql`true`]).flatMap(announcements)
    }
    return undefined
  }

  const expand = (expression: ts.Expression): Sql[] => {
    if (!isSqlTemplate(expression)) return fragment(expression) ?? []
    const { template } = expression
    let variants: Sql[] = [sql``]
    const append = (parts: readonly (Sql | string)[]): void => {
      variants = variants.flatMap((before) => parts.map((part) => join(before, part)))
      if (variants.length > maxVariants) throw new Error(`${file}: a statement with too many forms`)
    }
    append([piecesOf(template)[0] ?? ''])
    if (!ts.isTemplateExpression(template)) return variants
    for (const span of template.templateSpans) {
      append(fragment(span.expression) ?? [sql`${'value'}`])
      append([span.literal.text])
    }
    return variants
  }

  const isFragment = (template: ts.TaggedTemplateExpression): boolean => {
    for (let node: ts.Node = template.parent; node !== tree; node = node.parent) {
      if (isSqlTemplate(node)) return true
      const isCall = ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)
      if (isCall) return false
    }
    // A statement is handed to `many`, `one`, `maybeOne` or `run`; what is not is part of another.
    return true
  }

  const source: Source = { file: tree, templates, isFragment, expand, find }
  sources.set(key, source)
  return source
}

function isSqlTemplate(node: ts.Node): node is ts.TaggedTemplateExpression {
  return ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'sql'
}

function piecesOf(template: ts.TemplateLiteral): string[] {
  return ts.isNoSubstitutionTemplateLiteral(template)
    ? [template.text]
    : [template.head.text, ...template.templateSpans.map(({ literal }) => literal.text)]
}

function join(before: Sql, part: Sql | string): Sql {
  const addition = typeof part === 'string' ? textOnly(part) : part
  return sql`${before}${addition}`
}

/** A template of the tag's own shape whose one piece is the text. */
function textOnly(text: string): Sql {
  return sql(Object.assign([text], { raw: [text] }))
}

/** What a hot write puts before its own insert, with and without an Idempotency-Key. */
function announcements(condition: Sql): Sql[] {
  const event: StoredEvent = {
    id: newId('evt', new Date(0)),
    rootId: 'root',
    rootVersion: 1,
    type: 'thing.made',
    at: new Date(0),
    actorId: null,
    actorKind: 'system',
    data: {},
  }
  return [null, { keyId: 'key', holder: 'holder' }].map((lease) => {
    const origin = { requestId: 'req', address: undefined, lease }
    return announcement({ origin } as Context, [event], condition ? { condition } : {})
  })
}

/** The value of a member of an object that the source writes out. */
function memberOf(expression: ts.Expression | undefined, name: string): ts.Expression | undefined {
  if (!expression || !ts.isObjectLiteralExpression(expression)) return undefined
  const member = expression.properties.find((one) => one.name?.getText() === name)
  return member && ts.isPropertyAssignment(member) ? member.initializer : undefined
}
