import { invalidInputAt, invalidTransition } from '../../kernel/errors.ts'
import type { Transition } from '../../kernel/shapes.ts'
import type { DocumentStatus, DocumentVisibility, UpdateDocumentInput } from './schema.ts'

/** What decides about a change. */
export interface DocumentState {
  readonly status: DocumentStatus
  readonly reason: string | null
  readonly label: string | null
  readonly visibility: DocumentVisibility
  readonly hasBytes: boolean
}

/** Who reviews may change their mind; what is quarantined is not theirs to judge yet. */
const following: Readonly<Record<DocumentStatus, readonly DocumentStatus[]>> = {
  quarantined: [],
  uploaded: ['accepted', 'rejected'],
  accepted: ['rejected'],
  rejected: ['accepted'],
}

/** Where a review may bring the document: nowhere once its bytes are gone. */
export function transitionsOf({
  status,
  hasBytes,
}: Pick<DocumentState, 'status' | 'hasBytes'>): Transition[] {
  return hasBytes ? following[status].map((to) => ({ to, blockedBy: null })) : []
}

/** What a review and a new label make of it. Throws 400 for a reason amiss, 409 for the machine. */
export function applyUpdate(
  state: DocumentState,
  { status, reason, label, visibility }: UpdateDocumentInput,
): Pick<DocumentState, 'status' | 'reason' | 'label' | 'visibility'> {
  const to = status ?? state.status
  const isMoved = status !== undefined && status !== state.status
  const allowedTransitions = transitionsOf(state)
  if (isMoved && !allowedTransitions.some((one) => one.to === status)) {
    throw invalidTransition({
      detail: `A document that is ${state.status} cannot become ${status}.`,
      members: { allowedTransitions },
    })
  }
  return {
    status: to,
    reason: reasonFor(to, reason === undefined && !isMoved ? state.reason : (reason ?? null)),
    label: label === undefined ? state.label : label,
    visibility: visibility ?? state.visibility,
  }
}

/** A rejection has a reason, and nothing else has one. */
function reasonFor(status: DocumentStatus, reason: string | null): string | null {
  if (status === 'rejected' && reason === null) {
    throw invalidInputAt({
      pointer: '/reason',
      code: 'required',
      message: 'is required with a rejection',
    })
  }
  if (status !== 'rejected' && reason !== null) {
    throw invalidInputAt({
      pointer: '/reason',
      code: 'not_allowed',
      message: 'goes with a rejection',
    })
  }
  return reason
}

/** What the scanner's finding is called where a person's reason would stand. */
export const malwareReason = 'malware'

const maxNameBytes = 255
/** Windows opens these as devices whatever their extension. */
const reservedName = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/**
 * The name to show and to offer for saving: the last part of any path, in NFC, without control and
 * invisible characters and those that some system gives a meaning, of at most 255 bytes. Its
 * extension survives, so that it can be compared with the content.
 */
export function cleanFilename(name: string): string {
  const last = name.toWellFormed().normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const visible = last
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, '')
    .replaceAll(/[<>:"|?*\ufffd]/g, '_')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/^[. ]+|[. ]+$/g, '')
  const safe = reservedName.test(visible) ? `_${visible}` : visible
  return shorten(safe === '' ? 'document' : safe)
}

/** Cuts whole characters out of the middle, before the extension. */
function shorten(name: string): string {
  if (Buffer.byteLength(name) <= maxNameBytes) return name
  const extension = /\.[a-z0-9]{1,10}$/i.exec(name)?.[0] ?? ''
  const room = maxNameBytes - extension.length
  let stem = ''
  let taken = 0
  for (const character of name.slice(0, name.length - extension.length)) {
    taken += Buffer.byteLength(character)
    if (taken > room) break
    stem += character
  }
  return stem.trimEnd() + extension
}
