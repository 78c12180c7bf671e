import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

export const repository = path.resolve(import.meta.dirname, '../../..')
export const serverSource = path.join(repository, 'server/src')

/** All files below a folder, by their path from it, without what is built or installed. */
export function listFiles(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => !/(^|\/)(node_modules|dist|\.git|data|coverage)\//.test(file))
    .filter((file) => pattern.test(file))
    .toSorted()
}

export const isProductFile = /(?<!\.test|\.d)\.ts$/

export interface Import {
  /** A path from the source folder with its ending, or the name of a package. */
  readonly to: string
  readonly isType: boolean
}

/** What a file imports: static, re-exported, type-only and dynamic. */
export function importsOf(folder: string, file: string): Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Node | undefined, isType: boolean): void => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return
    const { text } = specifier
    const to = text.startsWith('.') ? path.posix.join(path.posix.dirname(file), text) : text
    found.push({ to, isType })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, isTypeOnly(node.importClause))
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly || hasOnlyTypes(node.exportClause))
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(parse(folder, file))
  return found
}

export function parse(folder: string, file: string): ts.SourceFile {
  const text = readFileSync(path.join(folder, file), 'utf8')
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
}

function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false
  if (clause.isTypeOnly) return true
  return clause.name === undefined && hasOnlyTypes(clause.namedBindings)
}

function hasOnlyTypes(bindings: ts.Node | undefined): boolean {
  return (
    bindings !== undefined &&
    (ts.isNamedImports(bindings) || ts.isNamedExports(bindings)) &&
    bindings.elements.length > 0 &&
    bindings.elements.every((element) => element.isTypeOnly)
  )
}
