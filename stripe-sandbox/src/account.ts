import type { Context } from './context.ts'

const ACCOUNT_ID = 'acct_1Sandbox000000000'
/** The account was opened with the year 2024, in Unix seconds. */
const ACCOUNT_CREATED = 1_704_067_200

/** The one account of the sandbox. */
export function getAccount(): object {
  return {
    id: ACCOUNT_ID,
    object: 'account',
    business_profile: {
      annual_revenue: null,
      estimated_worker_count: null,
      mcc: null,
      minority_owned_business_designation: null,
      name: 'Sandbox',
      product_description: null,
      support_address: null,
      support_email: null,
      support_phone: null,
      support_url: null,
      url: null,
    },
    business_type: null,
    capabilities: { card_payments: 'active', transfers: 'active' },
    charges_enabled: true,
    controller: { type: 'account' },
    country: 'GB',
    created: ACCOUNT_CREATED,
    default_currency: 'gbp',
    details_submitted: true,
    email: 'sandbox@example.com',
    external_accounts: emptyList(`/v1/accounts/${ACCOUNT_ID}/external_accounts`),
    future_requirements: noRequirements(),
    metadata: {},
    payouts_enabled: true,
    requirements: noRequirements(),
    settings: {
      branding: { icon: null, logo: null, primary_color: null, secondary_color: null },
      card_payments: {
        decline_on: { avs_failure: true, cvc_failure: true },
        statement_descriptor_prefix: 'SANDBOX',
        statement_descriptor_prefix_kana: null,
        statement_descriptor_prefix_kanji: null,
      },
      dashboard: { display_name: 'Sandbox', timezone: 'Etc/UTC' },
      payments: {
        statement_descriptor: 'SANDBOX',
        statement_descriptor_kana: null,
        statement_descriptor_kanji: null,
      },
    },
    tos_acceptance: { date: null, ip: null, user_agent: null },
    type: 'standard',
  }
}

/** What all movements so far add up to, a currency each. */
export function getBalance(context: Context): object {
  const sums = new Map<string, number>()
  for (const { currency, net } of context.store.values('balance_transaction')) {
    sums.set(currency, (sums.get(currency) ?? 0) + net)
  }
  if (sums.size === 0) sums.set('gbp', 0)
  const amounts = [...sums].map(([currency, amount]) => ({
    amount,
    currency,
    source_types: { card: amount },
  }))
  return {
    object: 'balance',
    available: amounts,
    connect_reserved: amounts.map(({ currency }) => ({ amount: 0, currency })),
    livemode: false,
    pending: amounts.map(({ currency }) => ({ amount: 0, currency, source_types: { card: 0 } })),
  }
}

function emptyList(url: string): object {
  return { object: 'list', data: [], has_more: false, url }
}

function noRequirements(): object {
  return {
    alternatives: [],
    current_deadline: null,
    currently_due: [],
    disabled_reason: null,
    errors: [],
    eventually_due: [],
    past_due: [],
    pending_verification: [],
  }
}
