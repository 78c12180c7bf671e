export function median(values) {
  const ordered = values.toSorted((one, other) => one - other)
  return ordered[ordered.length >> 1]
}
