/** What Bureau will not do for its operator; the message is one sentence for them. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
}
