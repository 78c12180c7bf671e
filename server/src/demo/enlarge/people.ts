import { newId } from '../../kernel/id.ts'
import type { Person } from './copies.ts'

const firstNames = words(
  'Ada Aisha Alan Amara Anya Ben Carmen Chidi Clara Dario Edith Elif Emil Farah Felix Freya Gita',
  'Hana Hugo Ines Ivo Jonas Kaito Lara Leila Luca Maja Marek Mina Nadia Nils Noor Olga Omar Petra',
  'Rafael Rosa Samir Sofia Tariq Uma Vera Wei Yara Zoe',
)
/** Family names in two halves, of which a few make many. */
const beginnings = words('Ash Bar Bel Cal Car Dal Els Fair Gar Hal Har Kel Lan Mar Nor Pen Rad Sel')
const endings = words('berg bourne by combe croft dale den field ford gate ham hurst ley more ton')

export interface People {
  /** The customer of that number: always the same. */
  of(number: number): Person
}

/** `since` is when the customer of a number was written down. */
export function rememberPeople(since: (number: number) => Date): People {
  const ids: string[] = []
  return {
    of: (number) => {
      const id = (ids[number] ??= newId('cus', since(number)))
      const first = pick(firstNames, number)
      const last = `${pick(beginnings, number / 7)}${pick(endings, number / 131)}`
      const email = `${first}.${last}.${number}@customers.example`.toLowerCase()
      return { id, name: `${first} ${last}`, email }
    },
  }
}

/** One of them, in a turn that takes each as often. */
export function pick<T>(all: readonly [T, ...T[]], at: number): T {
  return all[Math.floor(at) % all.length] ?? all[0]
}

export function words(...lines: readonly string[]): [string, ...string[]] {
  const [first = '', ...rest] = lines.join(' ').split(' ')
  return [first, ...rest]
}
