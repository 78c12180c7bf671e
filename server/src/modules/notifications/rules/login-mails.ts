import { formatInstant } from './amounts.ts'
import { button, greeting, paragraph, type Block, type House } from './letter.ts'
import { pages } from './links.ts'
import type { MailToken, Template } from './template.ts'

const welcome: Template<'welcome'> = {
  description: 'A customer registered.',
  byHand: true,
  token: null,
  sample: { name: 'Ada Lovelace' },
  write: ({ name }, { house }) => ({
    subject: `Welcome to ${house.name}`,
    preheader: 'Your orders, cases and documents in one place',
    blocks: [
      greeting(name),
      paragraph('Your account is ready. Your orders, cases and documents are on your pages.'),
      button('Go to your pages', pages.portal(house)),
    ],
  }),
}

const accountExists: Template<'account_exists'> = {
  description: 'Somebody registered with an e-mail that has an account already.',
  byHand: false,
  token: null,
  sample: { name: 'Ada Lovelace' },
  write: ({ name }, { house }) => ({
    subject: `You have an account at ${house.name} already`,
    preheader: 'There is nothing to do if it was not you',
    blocks: [
      greeting(name),
      paragraph(
        'Somebody, probably you, wanted to register with this e-mail. You have an account ' +
          'already: sign in, or choose a new password if you do not remember it.',
      ),
      button('Choose a new password', pages.forgotPassword(house)),
      paragraph('If it was not you, there is nothing to do: nothing has changed.'),
    ],
  }),
}

const verifyEmail: Template<'verify_email'> = {
  description: 'An e-mail address has to be proved. Carries a token.',
  byHand: false,
  token: 'verify_email',
  sample: { name: 'Ada Lovelace' },
  write: ({ name }, { house, secret }) => ({
    subject: 'Please confirm your e-mail',
    preheader: 'One click, and it is done',
    blocks: [
      greeting(name),
      paragraph('Please confirm that this e-mail is yours.'),
      button('Confirm your e-mail', pages.verifyEmail(house, secret.token)),
      lifeOf(secret, house),
      paragraph('If you did not ask for this, there is nothing to do.'),
    ],
  }),
}

const passwordReset: Template<'password_reset'> = {
  description: 'Somebody asked for a new password. Carries a token.',
  byHand: false,
  token: 'password_reset',
  sample: { name: 'Ada Lovelace', audience: 'customer' },
  write: ({ name, audience }, { house, secret }) => ({
    subject: 'Choose a new password',
    preheader: 'There is nothing to do if it was not you',
    blocks: [
      greeting(name),
      paragraph('Somebody, probably you, asked for a new password for your account.'),
      button('Choose a new password', pages.resetPassword(house, audience, secret.token)),
      lifeOf(secret, house),
      paragraph('If it was not you, there is nothing to do: your password stays as it is.'),
    ],
  }),
}

const staffInvitation: Template<'staff_invitation'> = {
  description: 'A colleague was invited. Carries a token.',
  byHand: false,
  token: 'staff_invitation',
  sample: { name: 'Priya Nair' },
  write: ({ name }, { house, secret }) => ({
    subject: `You are invited to ${house.name}`,
    preheader: 'Choose a password and begin',
    blocks: [
      greeting(name),
      paragraph(`You are invited to work at ${house.name}. Choose a password and begin.`),
      button('Accept the invitation', pages.acceptInvitation(house, secret.token)),
      lifeOf(secret, house),
    ],
  }),
}

export const loginMails = {
  welcome,
  account_exists: accountExists,
  verify_email: verifyEmail,
  password_reset: passwordReset,
  staff_invitation: staffInvitation,
} as const

function lifeOf({ expiresAt }: MailToken, house: House): Block {
  return paragraph(
    expiresAt === null
      ? 'The link works once, and for a limited time.'
      : `The link works once, until ${formatInstant(expiresAt, house)}.`,
  )
}
