import { newId } from '../../kernel/id.ts'
import { searchVector } from '../../modules/catalog/index.ts'
import { copyLine, type TextRows, type TextValue } from '../../platform/bulk-load.ts'
import { pick, words } from './people.ts'

const syllables = words('ba co da el fa gi ho in ka lo mi ne or pa ri so ta ul va we')

/** One of eight thousand words that nobody else uses. */
function invent(number: number): string {
  const count = syllables.length
  return [number, number / count, number / count ** 2].map((at) => pick(syllables, at)).join('')
}

/** Two steps apart from each other and from the number of services, so that pairs repeat late. */
const steps = [7, 389] as const

/**
 * Lines of services like those of the demo, each with two words more in its name. `since` is when
 * that of a number was written down.
 */
export function* copyServices(
  { columns, rows }: TextRows,
  { count, since }: { count: number; since: (number: number) => Date },
): Generator<string> {
  const [first, ...more] = rows.map((row) =>
    Object.fromEntries(columns.map(({ name }, at) => [name, row[at] ?? null])),
  )
  if (!first) throw new Error('there is no service to copy')
  for (let number = 0; number < count; number += 1) {
    const template = pick([first, ...more], number)
    const service = { ...template, ...copyOf(template, number, since(number)) }
    yield `${copyLine(columns.map(({ name }) => service[name] ?? null))}\n`
  }
}

function copyOf(
  template: Record<string, TextValue>,
  number: number,
  at: Date,
): Record<string, TextValue> {
  const { name, slug, summary = null, description = null } = template
  const added = steps.map((step) => invent(number * step)).join(' ')
  const ownName = `${name} ${added}`
  return {
    id: newId('svc', at),
    slug: `${slug}-${added.replace(' ', '-')}-${number}`,
    name: ownName,
    search: searchVector({ name: ownName, summary, description }),
    position: String(number + 100),
    created_at: at.toISOString(),
    updated_at: at.toISOString(),
  }
}
