/** Argon2id off the event loop, at most two hashes at once. */
export interface Passwords {
  hash(password: string): Promise<string>
  /** False for a wrong password; takes as long when `hash` is null (an unknown account). */
  verify(hash: string | null, password: string): Promise<boolean>
}
