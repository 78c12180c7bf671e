import type { Id } from '../../src/kernel/id.ts'
import { issueMailToken, type MailPurpose } from '../../src/modules/identity/index.ts'
import type { TestApp } from './app.ts'

/** Which link is due for each event that has a mail sent. */
const purposes: Readonly<Record<string, MailPurpose>> = {
  'user.email_verification_requested': 'verify_email',
  'user.password_reset_requested': 'password_reset',
  'user.invited': 'staff_invitation',
}

/**
 * The token of the link that was asked for last for this e-mail, minted as the sending of the mail
 * does. Undefined where no mail is due.
 */
export async function mailedTokenFor(app: TestApp, email: string): Promise<string | undefined> {
  await app.runJobs()
  const [event] = await app.sql(
    `select root_id, type from events
     left join users on users.id = root_id left join registrations on registrations.id = root_id
     where type = any($1::text[])
       and lower(coalesce(users.email, registrations.email)) = lower($2)
     order by events.id desc limit 1`,
    [Object.keys(purposes), email],
  )
  const purpose = purposes[String(event?.['type'])]
  if (!event || !purpose) return undefined
  const userId = event['root_id'] as Id<'usr'>
  return (await issueMailToken(app.systemContext(), { userId, purpose }))?.token
}
