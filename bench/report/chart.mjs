import { judge } from './verdict.mjs'

const width = 760
const left = 300
const top = 50
const rowHeight = 34
const barHeight = 16
const full = width - left - 60
/** Where the drawing ends: a ratio beyond it is told by its number alone. */
const mostRatio = 1.2
const met = '#2f6f8f'
const missed = '#b5523b'

/** A bar for each workload, as long as its ratio to its first control, and a mark at its bar. */
export function renderChart(rows) {
  const height = top + rows.length * rowHeight + 10
  const svg = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    'font-family': 'system-ui, sans-serif',
    'font-size': 13,
  }
  const parts = [
    element('rect', { width, height, fill: '#fff' }),
    element(
      'text',
      { x: 16, y: 26, 'font-size': 15 },
      "Bureau's rate, as a share of its control's",
    ),
    line(placeOf(1), { from: top - 10, to: height - 10, stroke: '#999' }),
    ...rows.flatMap((row, nth) => drawRow(row, top + nth * rowHeight)),
  ]
  return `${element('svg', svg, `\n${parts.join('\n')}\n`)}\n`
}

function drawRow(row, y) {
  const { ratio, faults } = judge(row)
  const end = placeOf(ratio)
  const fill = faults.length === 0 ? met : missed
  const asked = row.bar.ratio
  const mark = { from: y - 4, to: y + barHeight + 4, stroke: '#111', 'stroke-dasharray': '2 2' }
  return [
    element('text', { x: left - 10, y: y + 13, 'text-anchor': 'end' }, escape(row.name)),
    element('rect', { x: left, y, width: end - left, height: barHeight, rx: 2, fill }),
    element('text', { x: end + 6, y: y + 13 }, ratio.toFixed(2)),
    ...(asked === undefined ? [] : [line(placeOf(asked), mark)]),
  ]
}

function placeOf(ratio) {
  return Math.round(left + (full * Math.min(ratio, mostRatio)) / mostRatio)
}

function line(x, { from, to, ...style }) {
  return element('line', { x1: x, x2: x, y1: from, y2: to, ...style })
}

function element(name, attributes, content = '') {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${value}"`)
  return `<${name}${written.join('')}>${content}</${name}>`
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
