/** What a verb will not do; its message is one sentence for the operator. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
}
