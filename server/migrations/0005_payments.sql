-- The ledger: what was asked for, what came in and what went back, for each order.

-- One row is one attempt object at the provider, or one payment that was taken by hand.
create table payments (
  order_id text collate "C" not null,
  id text collate "C" not null,
  provider text not null check (provider in ('stripe', 'manual')),
  mode text not null check (mode in ('intent', 'hosted', 'manual')),
  status text not null check (status in
    ('pending', 'requires_action', 'processing', 'failed', 'succeeded', 'canceled')),
  amount bigint not null check (amount >= 0),
  currency text not null,
  -- The object at the provider: absent until its creation was answered.
  provider_ref text collate "C",
  -- The intent of a hosted session, once its payer has begun.
  intent_ref text collate "C",
  client_secret text,
  url text,
  -- The amount that a change under way will give it at the provider.
  next_amount bigint,
  failure jsonb,
  -- How many calls have had a definite answer: the last part of the next call's key.
  attempt integer not null default 0,
  -- Why a person should look at it: money that does not fit our books.
  flag text,
  -- The call that is under way: which and since when.
  step text,
  step_at timestamptz,
  -- What the person who took a manual payment wrote on it.
  reference text,
  received_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- When the provider was last asked.
  checked_at timestamptz,
  primary key (order_id, id)
);

-- One live attempt an order, over both modes.
create unique index payments_one_live on payments (order_id)
  where provider = 'stripe' and status in ('pending', 'requires_action', 'processing', 'failed');

create unique index payments_provider_ref on payments (order_id, provider, provider_ref);

-- What the reconciliation looks through.
create index payments_live on payments (checked_at, order_id, id)
  where provider = 'stripe' and status in ('pending', 'requires_action', 'processing', 'failed');

create table refunds (
  order_id text collate "C" not null,
  id text collate "C" not null,
  payment_id text collate "C" not null,
  status text not null
    check (status in ('pending', 'requires_action', 'succeeded', 'failed', 'canceled')),
  amount bigint not null check (amount > 0),
  currency text not null,
  reason text not null,
  provider_ref text collate "C",
  attempt integer not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  checked_at timestamptz,
  primary key (order_id, id),
  foreign key (order_id, payment_id) references payments (order_id, id)
);

create unique index refunds_provider_ref on refunds (order_id, provider_ref);

create index refunds_open on refunds (checked_at, order_id, id)
  where status in ('pending', 'requires_action');

create table disputes (
  order_id text collate "C" not null,
  id text collate "C" not null,
  payment_id text collate "C" not null,
  provider_ref text collate "C" not null,
  status text not null,
  amount bigint not null check (amount >= 0),
  currency text not null,
  reason text not null,
  due_by timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (order_id, id),
  foreign key (order_id, payment_id) references payments (order_id, id)
);

create unique index disputes_provider_ref on disputes (order_id, provider_ref);
