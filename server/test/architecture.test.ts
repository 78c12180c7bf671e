import path from 'node:path'
import { expect, test } from 'vitest'
import {
  importsOf,
  isProductFile,
  listFiles,
  repository,
  serverSource,
  type Import,
} from './support/sources.ts'

/** A module may use those named here, through their `index.ts`; types as well as values. */
const moduleUses: Readonly<Record<string, readonly string[]>> = {
  identity: [],
  system: [],
  catalog: ['identity'],
  payments: ['identity'],
  orders: ['catalog', 'payments', 'identity'],
  checkout: ['catalog', 'orders', 'payments', 'identity'],
  documents: ['orders', 'identity'],
  crm: ['documents', 'orders', 'identity'],
  notifications: ['crm', 'documents', 'checkout', 'orders', 'payments', 'catalog', 'identity'],
}

/**
 * Each role in a module may use these roles of its own module, and these layers. `front` is another
 * module's front door; a role without it may still take its types.
 */
const roleUses: Readonly<Record<string, readonly string[]>> = {
  routes: ['usecases', 'schema', 'rules', 'http', 'platform/context.ts', 'kernel'],
  usecases: ['usecases', 'sql', 'rules', 'events', 'schema', 'platform', 'kernel', 'front'],
  sql: [
    'sql',
    'schema',
    'rules',
    'platform/database.ts',
    'platform/sql.ts',
    'platform/list.ts',
    'platform/together.ts',
    'kernel',
    // A hot write is one statement: it holds the event's row and the job's beside its own.
    'platform/outbox.ts',
    'platform/jobs.ts',
    'platform/job-queue.ts',
    'platform/context.ts',
    'platform/events.ts',
  ],
  rules: ['rules', 'schema', 'kernel'],
  schema: ['schema', 'kernel', 'http/compile.ts', 'front'],
  events: ['schema', 'platform/events.ts', 'kernel'],
  listeners: ['usecases', 'events', 'platform/events.ts', 'platform/context.ts', 'kernel', 'front'],
  jobs: ['usecases', 'platform/jobs.ts', 'platform/context.ts', 'kernel'],
  index: [
    'sql',
    'routes',
    'usecases',
    'schema',
    'rules',
    'events',
    'listeners',
    'jobs',
    'http/module.ts',
  ],
}

/** One owner a package, so that one file changes when a package does. */
const packageOwners: Readonly<Record<string, RegExp>> = {
  fastify: /^http\/|^app\.ts$/,
  '@fastify/*': /^http\//,
  typebox: /^(kernel|http|platform|modules)\//,
  'fast-json-stringify': /^http\/serializer\.ts$/,
  ajv: /^http\/validation\.ts$/,
  'ajv-formats': /^http\/validation\.ts$/,
  pg: /^platform\/(database|primary|migrate|jobs|invalidation|bulk-load)\.ts$|^platform\/(embedded-database|backup)\//,
  'pg-copy-streams': /^platform\/(backup\/|bulk-load\.ts$)/,
  'graphile-worker': /^platform\/(jobs|migrate)\.ts$|^app\.ts$/,
  jose: /^platform\/tokens\.ts$/,
  '@node-rs/argon2': /^platform\/passwords\.ts$/,
  stripe: /^platform\/stripe(\.ts$|\/)/,
  pino: /^platform\/log\.ts$/,
  nodemailer: /^platform\/mail\.ts$/,
  'sanitize-html': /^platform\/mail-markup\.ts$/,
  'file-type': /^platform\/file-type\.ts$/,
  'prom-client': /^platform\/metrics\.ts$/,
  otpauth: /^platform\/one-time-codes\.ts$/,
  'range-parser': /^http\//,
  '@bureau/stripe-sandbox': /^main\.ts$/,
  // Identity hashes the tokens that it keeps and draws the ones that it hands out.
  'node:crypto': /^(kernel|platform|http)\/|^main\.ts$|^modules\/identity\/usecases(\.ts|\/)/,
  'node:fs': nodeFiles(),
  'node:fs/promises': nodeFiles(),
  'node:path': nodeFiles(),
  'node:os': nodeFiles(),
  'node:url': nodeFiles(),
  'node:child_process': /^platform\/embedded-database\//,
  // In config/ only to tell an address from another word; clamd is spoken to over a socket.
  'node:net': /^platform\/(embedded-database\/|scanner\.ts$)|^main\.ts$|^config\//,
  'node:cluster': /^workers\.ts$/,
  'node:module': /^platform\/(passwords\.ts$|embedded-database\/)/,
  // How late the event loop is.
  'node:perf_hooks': /^platform\/traffic\.ts$/,
  // Whoever comes second to a checkout waits for the first one's payment object.
  'node:timers/promises': /^platform\/|^workers\.ts$|^modules\/checkout\/usecases\//,
  'node:util': /./,
  'node:stream': /^(platform|http)\//,
  'node:stream/consumers': /^platform\/backup\//,
  'node:stream/promises': /^platform\/(backup\/|bulk-load\.ts$)/,
  'node:http': /^http\//,
  // To look at one small part of an office file, and to draw the pictures of the demo.
  'node:zlib': /^platform\/office-file\.ts$|^demo\//,
  'node:events': /^(platform|http)\/|^workers\.ts$/,
}

/** These may name the types of a package whose values another file owns. */
const typesOnly: Readonly<Record<string, readonly string[]>> = {
  'app.ts': ['fastify', 'graphile-worker'],
}

/** Two files may know each other's types only where a reason stands here. */
const mutualTypes: Readonly<Record<string, string>> = {
  'platform/context.ts platform/events.ts':
    'a context carries the registry, and a listener is called with a context',
  'platform/context.ts platform/limits.ts': 'a context carries the ports',
  'platform/context.ts platform/tokens.ts': 'a context carries the ports',
  'platform/context.ts platform/stripe.ts': 'a context carries the ports',
  'platform/context.ts platform/subjects.ts': 'a context carries them, and they take one',
  'platform/context.ts platform/invalidation.ts': 'a context carries the ports',
  'platform/context.ts platform/instruments.ts':
    'a context carries them, and whatever they look at is given one',
}

const files = listFiles(serverSource, isProductFile)
const imports = new Map(files.map((file) => [file, importsOf(serverSource, file)]))

test('the graph is read at all', () => {
  expect(files.length).toBeGreaterThan(40)
  const edges = [...imports.values()].flat()
  expect(edges.length).toBeGreaterThan(files.length)
  expect(edges.filter(({ to }) => to.endsWith('.ts')).length).toBeGreaterThan(files.length)
  const missing = edges.filter(({ to }) => /\.[jt]s$/.test(to) && !files.includes(to))
  expect(missing.map(({ to }) => to)).toEqual([])
})

test('every import follows the tables above', () => {
  const complaints = [...imports].flatMap(([from, list]) =>
    list.flatMap((edge) => complaintOf(from, edge) ?? []),
  )
  expect(complaints).toEqual([])
})

test('every module stands in the map, in its folder and in the list of modules', () => {
  const folders = new Set(files.flatMap((file) => /^modules\/(\w+)\//.exec(file)?.[1] ?? []))
  expect([...folders].filter((name) => !(name in moduleUses))).toEqual([])
  const listed = imports
    .get('modules/index.ts')
    ?.flatMap(({ to, isType }) =>
      isType ? [] : (/^modules\/(\w+)\/index\.ts$/.exec(to)?.[1] ?? []),
    )
  expect(listed?.toSorted()).toEqual([...folders].toSorted())
})

test('the module map leads nowhere back', () => {
  expect(cycleIn(new Map(Object.entries(moduleUses)))).toBeUndefined()
})

test('no import leads back to where it started', () => {
  const values = new Map(
    [...imports].map(([file, list]) => [
      file,
      list.filter(({ isType }) => !isType).map(({ to }) => to),
    ]),
  )
  expect(cycleIn(values)).toBeUndefined()
})

test('two files know each other only where a reason is written', () => {
  const mutual = [...imports].flatMap(([file, list]) =>
    list
      .filter(({ to }) => file < to && imports.get(to)?.some((back) => back.to === file))
      .map(({ to }) => `${file} ${to}`),
  )
  expect([...new Set(mutual)].filter((pair) => !(pair in mutualTypes))).toEqual([])
})

test('every package that is used has an owner', () => {
  const used = new Set([...imports.values()].flat().map(({ to }) => packageOf(to)))
  const unowned = [...used].filter((name) => name !== undefined && !ownerOf(name))
  expect(unowned).toEqual([])
})

test("Stripe's stand-in knows nothing of the server", () => {
  const folder = path.join(repository, 'stripe-sandbox')
  const sandbox = listFiles(folder, /^(src|test)\/.*\.ts$/)
  expect(sandbox.length).toBeGreaterThan(10)
  const foreign = sandbox.flatMap((file) =>
    importsOf(folder, file)
      .filter(({ to }) => to.startsWith('@bureau/') || to.startsWith('..'))
      .map(({ to }) => `${file}: ${to}`),
  )
  expect(foreign).toEqual([])
})

test('a wrong import is seen: the guard itself can fail', () => {
  const refused: [string, string][] = [
    ['kernel/money.ts', 'platform/clock.ts'],
    ['platform/clock.ts', 'http/serve.ts'],
    ['http/serve.ts', 'modules/orders/index.ts'],
    ['http/serve.ts', 'pg'],
    ['modules/orders/usecases.ts', 'modules/catalog/sql.ts'],
    ['modules/catalog/usecases.ts', 'modules/orders/index.ts'],
    ['modules/orders/routes.ts', 'modules/orders/sql.ts'],
    ['modules/orders/usecases/place-order.ts', 'http/endpoint.ts'],
    ['modules/orders/rules.ts', 'platform/sql.ts'],
    ['modules/orders/sql.ts', 'modules/catalog/index.ts'],
    ['modules/orders/usecases.ts', '@bureau/stripe-sandbox'],
    ['config.ts', 'platform/clock.ts'],
  ]
  const allowed = refused.filter(([from, to]) => !complaintOf(from, { to, isType: false }))
  expect(allowed).toEqual([])
  expect(complaintOf('app.ts', { to: 'fastify', isType: false })).toContain('types')
})

function nodeFiles(): RegExp {
  return /^platform\/(embedded-database\/|backup\/|files\.ts$|files\/|migrate\.ts$|passwords\.ts$|secret-key\.ts$)|^(main|cli)\.ts$|^cli\/|^http\/static\.ts$/
}

function complaintOf(from: string, { to, isType }: Import): string | undefined {
  const no = (why: string): string => `${from} may not import ${to}: ${why}`
  const name = packageOf(to)
  if (name !== undefined) {
    const owner = ownerOf(name)
    if (owner && !owner.test(from)) return no('the package has another owner')
    const mayNameTypes = typesOnly[from]?.includes(name) === true
    return mayNameTypes && !isType ? no('here only its types') : undefined
  }
  const [layer] = from.split('/')
  if (from === 'config.ts' || layer === 'config') {
    return /^(kernel|config)\//.test(to) ? undefined : no('it reads text only')
  }
  if (layer === 'kernel' && !to.startsWith('kernel/')) return no('the kernel is pure')
  if (layer === 'platform' && !/^(platform|kernel)\//.test(to)) return no('it knows no HTTP')
  if (layer === 'http' && !/^(http|platform|kernel)\//.test(to)) return no('it knows no module')
  if (layer !== 'modules') {
    const isInside = to.startsWith('modules/') && !/^modules\/(\w+\/)?index\.ts$/.test(to)
    return isInside ? no('use the index.ts of the module') : undefined
  }
  return from === 'modules/index.ts' ? undefined : complaintInModule(from, { to, isType })
}

function complaintInModule(from: string, { to, isType }: Import): string | undefined {
  const no = (why: string): string => `${from} may not import ${to}: ${why}`
  const [, name = '', file = ''] = from.split('/')
  const [toLayer, toName = '', toFile = ''] = to.split('/')
  const uses = roleUses[roleOf(file)]
  if (!uses) return no(`${roleOf(file)} is no role`)
  if (toLayer === 'modules') {
    if (toName === name) {
      // What a row's column may hold is often written where the event that names it is.
      const mayName = isType && roleOf(file) === 'sql' && roleOf(toFile) === 'events'
      return mayName || uses.includes(roleOf(toFile)) || isWithinRole(file, toFile)
        ? undefined
        : no(`roleUses.${roleOf(file)}`)
    }
    if (to !== `modules/${toName}/index.ts`) return no('use its index.ts')
    if (!moduleUses[name]?.includes(toName)) return no(`moduleUses.${name}`)
    return isType || uses.includes('front') ? undefined : no('only types of another module here')
  }
  const isAllowed = uses.some((use) => to === use || to.startsWith(`${use}/`))
  return isAllowed ? undefined : no(`roleUses.${roleOf(file)}`)
}

/** A role that outgrew its file is a folder: its files may use each other. */
function isWithinRole(file: string, toFile: string): boolean {
  return roleOf(file) === roleOf(toFile) && !file.endsWith('.ts')
}

function roleOf(file: string): string {
  return file.replace(/\.ts$/, '')
}

function packageOf(to: string): string | undefined {
  if (/^[a-z].*\.ts$/.test(to) || to.startsWith('.')) return undefined
  const parts = to.split('/')
  if (to.startsWith('node:')) return to
  return to.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]
}

function ownerOf(name: string): RegExp | undefined {
  return packageOwners[name] ?? packageOwners[`${name.split('/')[0] ?? ''}/*`]
}

/** The first cycle of a graph, as the way around it. */
function cycleIn(graph: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>()
  const search = (node: string, trail: readonly string[]): string | undefined => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node].join(' -> ')
    if (done.has(node)) return undefined
    for (const next of graph.get(node) ?? []) {
      const found = search(next, [...trail, node])
      if (found !== undefined) return found
    }
    done.add(node)
    return undefined
  }
  for (const node of graph.keys()) {
    const found = search(node, [])
    if (found !== undefined) return found
  }
  return undefined
}
