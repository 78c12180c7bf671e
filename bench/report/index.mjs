export { renderChart } from './chart.mjs'
export { renderMachine, renderTable } from './table.mjs'

/** One row in one line, for whoever watches. */
export function line({ name, figures }) {
  const rates = Object.entries(figures).map(
    ([kind, { perSecond }]) => `${kind} ${Math.round(perSecond)}/s`,
  )
  return `${name}: ${rates.join(', ')}`
}
