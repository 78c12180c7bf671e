import type { House } from './letter.ts'

/**
 * Every page that a mail leads to. A token stands behind `#`: browsers keep that part to
 * themselves, so that it is in no server's log and in no referrer.
 */
export const pages = {
  portal: ({ publicUrl }: House) => `${publicUrl}/portal`,
  order: ({ publicUrl }: House, number: string) => `${publicUrl}/portal/orders/${number}`,
  case: ({ publicUrl }: House, number: string) => `${publicUrl}/portal/cases/${number}`,
  verifyEmail: ({ publicUrl }: House, token: string) =>
    `${publicUrl}/portal/verify-email#token=${encodeURIComponent(token)}`,
  resetPassword: ({ publicUrl }: House, audience: 'customer' | 'staff', token: string) =>
    `${publicUrl}/${areaOf(audience)}/reset-password#token=${encodeURIComponent(token)}`,
  forgotPassword: ({ publicUrl }: House) => `${publicUrl}/portal/forgot-password`,
  acceptInvitation: ({ publicUrl }: House, token: string) =>
    `${publicUrl}/console/accept-invitation#token=${encodeURIComponent(token)}`,
} as const

function areaOf(audience: 'customer' | 'staff'): string {
  return audience === 'staff' ? 'console' : 'portal'
}
