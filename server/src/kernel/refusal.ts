/** What Bureau will not do for its operator; the message says why, to them. */
export class Refusal extends Error {
  override readonly name: string = 'Refusal'
}
