import type { Config } from '../../config.ts'
import { secondMs } from '../../kernel/time.ts'
import { systemClock } from '../../platform/clock.ts'
import { ProviderError, stripeApiVersion, type StripePort } from '../../platform/stripe.ts'
import { fail, ok, unless, warn, type Look } from './look.ts'

/** Webhooks are refused where the clocks are minutes apart. */
const maxSkewMs = 30 * secondMs

/** One call that moves nothing. */
export async function examineProvider(config: Config, stripe: StripePort): Promise<Look[]> {
  const { payments, production, stripeWebhookSecrets } = config
  if (payments === 'sandbox') {
    return [
      production
        ? warn('stripe', 'the sandbox takes no money')
        : ok('stripe', 'the sandbox stands in'),
    ]
  }
  if (!stripe.enabled) return [ok('stripe', 'off')]
  const mode = stripe.livemode ? 'live' : 'test'
  return [
    ...(await examineKey(stripe, mode)),
    ...unless(production && !stripe.livemode, 'stripe', 'a test key takes no money'),
    stripeWebhookSecrets.length > 0
      ? ok('webhook', `${stripeWebhookSecrets.length} signing secrets`)
      : warn('webhook', 'without STRIPE_WEBHOOK_SECRET payments are heard of by asking only'),
  ]
}

async function examineKey(stripe: StripePort, mode: string): Promise<Look[]> {
  try {
    const { at } = await stripe.checkKey()
    const skewMs = at === null ? 0 : Math.abs(at.getTime() - systemClock().getTime())
    return [
      ok('stripe', `takes the ${mode} key, API ${stripeApiVersion}`),
      ...unless(
        skewMs > maxSkewMs,
        'clock',
        `Stripe’s is ${Math.round(skewMs / secondMs)} s from ours: see to the time service`,
      ),
    ]
  } catch (error) {
    const reason = error instanceof ProviderError ? error.kind : 'no answer'
    return [fail('stripe', `it does not take the ${mode} key, or is away (${reason})`)]
  }
}
