import type { MailData, TemplateName } from '../schema.ts'
import type { House, Letter } from './letter.ts'

/** What a token is for: the words that identity knows. */
export type TokenPurpose = 'verify_email' | 'password_reset' | 'staff_invitation'

/** A token on its way into a mail; it lives there and nowhere else. */
export interface MailToken {
  readonly token: string
  /** RFC 3339; null where the mail is only looked at. */
  readonly expiresAt: string | null
}

/** What a mail knows beside its data. */
export interface Occasion {
  readonly house: House
  readonly secret: MailToken
}

export interface Template<Name extends TemplateName> {
  /** When it is sent, in a sentence. */
  readonly description: string
  /** Whether staff may send it with data of their own. */
  readonly byHand: boolean
  /** What token it carries: then its text is made at sending and never kept. */
  readonly token: TokenPurpose | null
  readonly sample: MailData<Name>
  write(data: MailData<Name>, occasion: Occasion): Letter
}
