import { Type } from 'typebox'
import { defineEvent } from '../../platform/events.ts'

/** An event of the provider that is about nothing of ours: acknowledged, without effect. */
export const ProviderEventRefused = defineEvent('provider_event.refused', {
  data: Type.Object({
    type: Type.String(),
    objectId: Type.String(),
    livemode: Type.Boolean(),
  }),
})

const Reconciled = Type.Object({
  scope: Type.String(),
  status: Type.String(),
  differences: Type.Integer(),
  healed: Type.Integer(),
})

/** Our books are being compared with the provider's: by the clock, or because somebody asked. */
export const ReconciliationStarted = defineEvent('reconciliation.started', {
  data: Type.Object({ scope: Type.String() }),
})
export const ReconciliationFinished = defineEvent('reconciliation.finished', { data: Reconciled })

export const events = [ProviderEventRefused, ReconciliationStarted, ReconciliationFinished]
