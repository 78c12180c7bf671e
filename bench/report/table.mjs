import { judge, wordsOf } from './verdict.mjs'

const head = [
  'workload',
  'ratio to the control',
  'other controls',
  'bar',
  'statements',
  'per second',
  'p50 ms',
  'p99 ms',
  'CPU µs',
  'PostgreSQL µs',
  'loop p99 ms',
  'verdict',
]

/** The rows of a run as a table of Markdown, the ratios first. */
export function renderTable(rows) {
  const lines = rows.map((row) => {
    const { ratio, first, faults } = judge(row)
    const { bureau, ...controls } = row.figures
    const others = Object.entries(controls).filter(([kind]) => kind !== first)
    return [
      `${row.name} (${row.connections})`,
      `**${ratio.toFixed(2)}** × ${first}`,
      others
        .map(([kind, { perSecond }]) => `${(bureau.perSecond / perSecond).toFixed(2)} × ${kind}`)
        .join(', '),
      wordsOf(row.bar),
      row.statements,
      Math.round(bureau.perSecond),
      bureau.p50.toFixed(1),
      bureau.p99.toFixed(1),
      Math.round(bureau.own),
      Math.round(bureau.database),
      bureau.lagP99.toFixed(0),
      faults.length === 0 ? 'met' : faults.join(', '),
    ]
  })
  return lineUp([head, head.map(() => '---'), ...lines])
}

const MACHINE_BARS = [
  { what: '`node` to healthy, warm', read: ({ starts }) => starts?.warmMs, unit: 'ms', bar: 1000 },
  { what: '`npm start`, warm', read: ({ starts }) => starts?.warmByNpmMs, unit: 'ms', bar: 2000 },
  { what: 'first start, with demo', read: ({ starts }) => starts?.firstMs, unit: 'ms', bar: 5000 },
  { what: 'memory, idle', read: ({ memory }) => memory.idleMiB, unit: 'MiB', bar: 100 },
  { what: 'memory, after it all', read: ({ memory }) => memory.afterMiB, unit: 'MiB', bar: 200 },
  { what: 'packages for production', read: ({ packages }) => packages.count, unit: '', bar: 200 },
  { what: 'size of them', read: ({ packages }) => packages.mebibytes, unit: 'MiB' },
]

/** What the process itself takes, as another table. */
export function renderMachine(machine) {
  const lines = MACHINE_BARS.flatMap(({ what, read, unit, bar }) => {
    const value = read(machine)
    if (value === undefined) return []
    const seen = `${Math.round(value)} ${unit}`
    if (bar === undefined) return [[what, seen, '', '']]
    return [[what, seen, `< ${bar} ${unit}`, value < bar ? 'met' : 'not met']]
  })
  const names = ['what', 'seen', 'bar', 'verdict']
  return lineUp([names, names.map(() => '---'), ...lines])
}

function lineUp(lines) {
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n')
}
