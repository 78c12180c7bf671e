/** What an access token says: who, in which session, for which audience; never a role. */
export interface AccessClaims {
  readonly audience: 'customer' | 'staff'
  readonly userId: string
  readonly sessionId: string
  readonly tokenId: string
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

export interface Tokens {
  sign(claims: Omit<AccessClaims, 'tokenId' | 'expiresAt'>, now: Date): Promise<string>
  /** Throws 401 for anything but a good, unexpired token of ours. */
  verify(token: string, now: Date): Promise<AccessClaims>
}
