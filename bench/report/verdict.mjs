/**
 * What a row came to: the ratio of Bureau's rate to that of its first control, and which parts of
 * its bar do not hold; none where it is met.
 */
export function judge({ figures, controls, statements, bar }) {
  const { bureau } = figures
  const [first] = controls
  const ratio = bureau.perSecond / figures[first].perSecond
  const faults = [
    ...(ratio < (bar.ratio ?? 0) ? [`ratio under ${bar.ratio}`] : []),
    ...(statements > (bar.statements ?? Infinity)
      ? [`more than ${bar.statements} statements`]
      : []),
    ...(bureau.p99 > (bar.p99 ?? Infinity) ? [`p99 over ${bar.p99} ms`] : []),
    ...(bureau.lagP99 > (bar.lagP99 ?? Infinity) ? [`event loop p99 over ${bar.lagP99} ms`] : []),
    ...Object.entries(figures).flatMap(([kind, { errors }]) =>
      errors > 0 ? [`${errors} errors of ${kind}`] : [],
    ),
  ]
  return { ratio, first, faults }
}

/** The bar in words. */
export function wordsOf({ ratio, statements, p99, lagP99 }) {
  return [
    ...(ratio === undefined ? [] : [`≥ ${ratio}`]),
    ...(statements === undefined ? [] : [`${statements} statements`]),
    ...(p99 === undefined ? [] : [`p99 ≤ ${p99} ms`]),
    ...(lagP99 === undefined ? [] : [`loop p99 < ${lagP99} ms`]),
  ].join(', ')
}
