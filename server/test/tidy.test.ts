import { existsSync, readFileSync, statSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { variableNames } from '../src/config.ts'
import { modules } from '../src/modules/index.ts'
import { isProductFile, listFiles, repository, serverSource } from './support/sources.ts'
import { templateTextsOf } from './support/statements.ts'

/** What belongs to the repository: everything in it that is not ignored. */
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: repository,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(path.join(repository, file)))
const isCode = (file: string): boolean => /\.(ts|mjs)$/.test(file)
const code = files.filter(isCode)
const read = (file: string): string => readFileSync(path.join(repository, file), 'utf8')
const isTest = (file: string): boolean => /(^|\/)test\/|\.test\.ts$/.test(file)
const isServer = (file: string): boolean => file.startsWith('server/src/') && !isTest(file)

interface Banned {
  readonly what: string
  readonly pattern: RegExp
  /** Which files the ban is for. */
  readonly within: (file: string) => boolean
  /** Where it may stand all the same. */
  readonly except?: RegExp
  /** A line that breaks the ban: shows that the pattern sees it. */
  readonly seen: string
}

const bans: readonly Banned[] = [
  {
    what: 'the instant comes from ctx.now; only the clock asks the machine',
    pattern: /\bnew Date\(\)|\bDate\.now\(\)/,
    within: isServer,
    except: /platform\/(clock\.ts|embedded-database\/)/,
    seen: 'const at = new Date()',
  },
  {
    what: 'chance comes from node:crypto',
    pattern: /\bMath\.random\(/,
    within: (file) => !isTest(file) && !file.startsWith('scripts/'),
    seen: 'if (Math.random() < 0.5)',
  },
  {
    what: 'only config.ts reads the environment',
    pattern: /\bprocess\.env\b/,
    within: (file) => isServer(file) || file.startsWith('stripe-sandbox/src/'),
    except: /^server\/src\/(config|cli)\.ts$/,
    seen: 'const url = process.env.URL',
  },
  {
    what: 'SQL stands in sql.ts',
    pattern: /\bsql(<[^>]*>)?`/,
    within: isServer,
    except: /^server\/src\/(modules\/\w+\/sql(\.ts|\/)|platform\/|http\/idempotency\.ts)/,
    seen: 'await db.run(sql`delete from orders`)',
  },
  {
    what: 'what is left to do is an issue, not a comment',
    pattern: /\b(TODO|FIXME|XXX|HACK)\b/,
    within: (file) => file !== 'server/test/tidy.test.ts',
    seen: '// TODO: later',
  },
  {
    what: 'the inner context shadows the outer, so that no statement slips out of the transaction',
    pattern: /\binTx\(\w+,\s*async\s*\((?!ctx\b)\w+|\binTx\(\w+,\s*\((?!ctx\b)\w+/,
    within: isServer,
    seen: 'await inTx(ctx, async (tx) => {',
  },
  {
    what: 'a module exports by name',
    pattern: /^export default\b/m,
    // The test runner asks for these two by their default export.
    within: (file) => !/\.config\.ts$|\/global-setup\.ts$/.test(file),
    seen: 'export default function start() {',
  },
  {
    what: 'tests wait for a condition, not for a time',
    pattern: /await (sleep|wait|delay)\(|setTimeout\(resolve/,
    within: (file) => file.endsWith('.test.ts') && file.startsWith('server/'),
    // The embedded database is another process: its test polls with a bound.
    except: /embedded-database\.test\.ts|tidy\.test\.ts/,
    seen: 'await sleep(100)',
  },
  {
    what: 'no test is skipped or alone',
    pattern: /\b(test|it|describe)\.(only|skip|todo)\b/,
    within: (file) => isTest(file) && !file.endsWith('tidy.test.ts'),
    seen: "test.only('200', () => {})",
  },
  {
    what: 'the project knows no machine and no registry but through npm',
    pattern: /\/(home|Users)\/\w+\/|\/root\/|https?:\/\/(registry|mirror|proxy)\./i,
    within: (file) => file !== 'package-lock.json' && !file.endsWith('tidy.test.ts'),
    seen: 'cd /home/ada/bureau',
  },
  {
    what: 'the compiler is not told to look away',
    pattern: /@ts-(ignore|nocheck|expect-error)|eslint-disable/,
    within: (file) => isCode(file) && !file.endsWith('tidy.test.ts'),
    seen: '// @ts-ignore',
  },
]

test('the tree is read at all', () => {
  expect(code.length).toBeGreaterThan(80)
  expect(files.filter(isServer).length).toBeGreaterThan(40)
})

describe('words', () => {
  test.each(bans)('$what', ({ pattern, within, except, seen }) => {
    expect(seen).toMatch(pattern)
    const found = files
      .filter((file) => isCode(file) || /\.(md|sql|json|yml|sh)$/.test(file))
      .filter((file) => within(file) && !except?.test(file))
      .flatMap((file) => {
        const line = read(file)
          .split('\n')
          .findIndex((text) => pattern.test(text) && !/^\s*(\*|\/\/).*`/.test(text))
        return line < 0 ? [] : [`${file}:${line + 1}`]
      })
    expect(found).toEqual([])
  })

  test('no file has a name that attracts everything', () => {
    const names = /(^|[-_.])(utils?|helpers?|commons?|managers?|base|misc|shared|lib)([-_.]|$)/i
    expect('order-utils.ts').toMatch(names)
    const found = code.filter((file) => names.test(path.basename(file).replace(/\.ts$/, '')))
    expect(found).toEqual([])
  })
})

describe('sizes', () => {
  test('400 lines at most, 800 in a test', () => {
    const found = code.flatMap((file) => {
      const lines = read(file).split('\n').length - 1
      return lines > (file.endsWith('.test.ts') ? 800 : 400) ? [`${file}: ${lines} lines`] : []
    })
    expect(found).toEqual([])
  })

  test('100 characters a line, unless it holds what cannot be broken', () => {
    const found = code.flatMap((file) =>
      read(file)
        .split('\n')
        .flatMap((line, index) =>
          line.length > 100 && !isUnbreakable(line) ? [`${file}:${index + 1}`] : [],
        ),
    )
    expect(found).toEqual([])
  })

  test('100 KB a file', () => {
    const large = files.filter((file) => statSync(path.join(repository, file)).size > 100_000)
    expect(
      large.filter((file) => !['package-lock.json', 'server/openapi.json'].includes(file)),
    ).toEqual([])
  })
})

/** An address, a regular expression or one long text is longer than a line at times. */
function isUnbreakable(line: string): boolean {
  const unbreakable = [/https?:\/\//, /\/\^?.{40,}\/[a-z]*[,;)]*$/, /(['"`]).{70,}\1/]
  return /\btest(\.each\([^)]*\))?\(/.test(line) || unbreakable.some((part) => part.test(line))
}

describe('migrations', () => {
  const names = listFiles(path.join(repository, 'server/migrations'), /\.sql$/)

  test('are numbered without holes and named by their module', () => {
    expect(names.length).toBeGreaterThan(0)
    const owners = ['platform', ...modules.map(({ name }) => name)]
    names.forEach((name, index) => {
      const [, number, owner] = /^(\d{4})_([a-z]+)(?:_[a-z_]+)?\.sql$/.exec(name) ?? []
      expect([name, Number(number)]).toEqual([name, index + 1])
      expect([name, owners.includes(owner ?? '')]).toEqual([name, true])
    })
  })
})

describe('tables', () => {
  const ownerOfTable = new Map<string, string>()
  for (const name of listFiles(path.join(repository, 'server/migrations'), /\.sql$/)) {
    const owner = /^\d{4}_([a-z]+)/.exec(name)?.[1] ?? ''
    const text = read(`server/migrations/${name}`)
    for (const [, table] of text.matchAll(/^create table (?:if not exists )?(\w+)/gim)) {
      ownerOfTable.set(table ?? '', owner)
    }
  }
  /** Whose tables a module may read: those below it in the module map. */
  const below: Readonly<Record<string, readonly string[]>> = {
    catalog: ['identity'],
    payments: ['identity'],
    orders: ['catalog', 'payments', 'identity'],
    checkout: ['catalog', 'orders', 'payments', 'identity'],
    documents: ['orders', 'identity'],
    crm: ['documents', 'orders', 'identity'],
    notifications: ['crm', 'documents', 'checkout', 'orders', 'payments', 'catalog', 'identity'],
  }
  const sqlFiles = listFiles(serverSource, /^modules\/\w+\/sql(\.ts|\/[\w-]+\.ts)$/)
  const uses = sqlFiles.flatMap((file) => {
    const module = file.split('/')[1] ?? ''
    return templateTextsOf(serverSource, file).flatMap(({ at, text }) =>
      [
        ...tablesIn(text, /\b(?:insert into|update|delete from)\s+([a-z_]+)/gi, 'writes'),
        ...tablesIn(text, /\b(?:from|join)\s+([a-z_]+)/gi, 'reads'),
      ].map((use) => ({ ...use, at, module })),
    )
  })

  function tablesIn(text: string, pattern: RegExp, how: 'reads' | 'writes') {
    const plain = text.replaceAll(/--.*$/gm, '').replaceAll(/\b(for|do) update\b/gi, '')
    return [...plain.matchAll(pattern)]
      .map(([, table]) => ({ table: table ?? '', how }))
      .filter(({ table }) => ownerOfTable.has(table))
  }

  test('are found at all', () => {
    expect(ownerOfTable.size).toBeGreaterThan(3)
    expect(uses.length).toBeGreaterThan(sqlFiles.length)
  })

  test('are written by their owner only, and read along the module map', () => {
    const complaints = uses.flatMap(({ at, module, table, how }) => {
      const owner = ownerOfTable.get(table) ?? ''
      const mayRead = owner === 'platform' || below[module]?.includes(owner) === true
      const isAllowed = owner === module || (how === 'reads' && mayRead)
      return isAllowed ? [] : [`${at}: ${module} ${how} ${table}, which is of ${owner}`]
    })
    expect(complaints).toEqual([])
  })

  test('stand in the README of their module, with the events that it emits', () => {
    const missing = modules.flatMap(({ name, events }) => {
      const file = `server/src/modules/${name}/README.md`
      if (!existsSync(path.join(repository, file))) return [`${file} is missing`]
      const text = read(file)
      const tables = [...ownerOfTable].filter(([, owner]) => owner === name).map(([table]) => table)
      return [...tables, ...events.map((event) => event.name)]
        .filter((word) => !text.includes(`\`${word}\``))
        .map((word) => `${file} does not name \`${word}\``)
    })
    expect(missing).toEqual([])
  })
})

describe('words about the code', () => {
  test('name files that exist', () => {
    const pages = files.filter((file) => file.endsWith('.md'))
    const missing = pages.flatMap((page) =>
      [...withoutCode(read(page)).matchAll(/`([\w./-]+\.(?:ts|mjs|sql|md|json))`|\]\(([^)#:]+)\)/g)]
        .map(([, quoted, linked]) => quoted ?? linked ?? '')
        .filter((name) => !/[<>*…]/.test(name) && !doesExist(page, name))
        .map((name) => `${page} names ${name}`),
    )
    expect(missing).toEqual([])
  })

  test('.env.example names every variable that config.ts reads, in its order', () => {
    const names = [...read('.env.example').matchAll(/^#?\s?([A-Z][A-Z0-9_]+)=/gm)].map(
      ([, name]) => name,
    )
    expect(names).toEqual([...variableNames])
  })
})

function withoutCode(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```/gm, '')
}

/** A path from the root or from the page; a bare name may be a file of that name anywhere. */
function doesExist(page: string, name: string): boolean {
  const places = [name, path.posix.join(path.posix.dirname(page), name)]
  if (places.some((place) => existsSync(path.join(repository, place)))) return true
  return files.some((file) => file.endsWith(`/${name}`))
}

test('product files carry no test', () => {
  const product = listFiles(serverSource, isProductFile)
  const found = product.filter((file) => /from 'vitest'/.test(read(`server/src/${file}`)))
  expect(found).toEqual([])
})
