/** A pattern for `like` in which `%`, `_` and the escape itself stand for themselves. */
export function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
}
