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

export const events = [ProviderEventRefused]
