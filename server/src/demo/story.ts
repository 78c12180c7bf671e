import type { Id } from '../kernel/id.ts'
import { recordMailsAsSent } from '../modules/notifications/index.ts'
import type { AppContext } from '../platform/context.ts'
import type { Plot, Stage } from './acts.ts'
import { officePlots } from './office.ts'
import { orderPlots } from './orders.ts'
import type { People } from './people.ts'
import { questionPlots } from './questions.ts'

export interface Cast {
  /** Ids by slugs. */
  readonly services: ReadonlyMap<string, Id<'svc'>>
  readonly people: People
}

const plots: readonly Plot[] = [...orderPlots, ...questionPlots, ...officePlots]

/**
 * What happened in the demo business up to today, told by those who did it and in the order of
 * time, as numbers are given in that order. Of all this nobody is mailed any more.
 */
export async function tellStory(ctx: AppContext, cast: Cast): Promise<void> {
  const scenes = plots.flatMap(({ customer, acts }) => {
    const stage: Stage = {
      ...cast,
      ctx,
      customer,
      order: undefined,
      caseKey: undefined,
      papers: new Map(),
    }
    return acts.map((act) => ({ act, stage }))
  })
  for (const { act, stage } of scenes.toSorted((a, b) => b.act.daysAgo - a.act.daysAgo)) {
    await act.perform(stage)
  }
  await recordMailsAsSent(ctx)
}
