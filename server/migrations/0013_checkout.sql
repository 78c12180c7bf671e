-- The comparison of our ledger with the provider's: when it was made, and what it found. Beside it
-- the flag that an order shows once money came that does not fit its books.

create table reconciliations (
  id text collate "C" primary key,
  -- The last days, many of them, or what a person asked for.
  scope text not null check (scope in ('recent', 'wide', 'requested')),
  status text not null check (status in ('running', 'completed', 'failed')),
  -- What was made in this time is compared.
  window_from timestamptz not null,
  window_to timestamptz not null,
  -- One run is bounded: whether it left something for another.
  partial boolean not null default false,
  -- How many of each kind were compared, were not ours, or differ.
  counts jsonb not null,
  -- A sentence for an operator where there is something to say.
  output text,
  version integer not null,
  started_at timestamptz not null,
  finished_at timestamptz
);

create index reconciliations_started_at on reconciliations (started_at, id);

create table reconciliation_differences (
  reconciliation_id text collate "C" not null references reconciliations (id),
  id text collate "C" not null,
  kind text not null,
  object text not null check (object in ('payment', 'refund', 'dispute', 'order', 'event')),
  -- Our row's, where there is one.
  object_id text collate "C",
  order_id text collate "C",
  provider_ref text collate "C",
  ours jsonb,
  theirs jsonb,
  -- Whether the one path to paid has brought both sides together since.
  healed boolean not null,
  created_at timestamptz not null,
  primary key (reconciliation_id, id)
);

create index reconciliation_differences_created_at
  on reconciliation_differences (reconciliation_id, created_at, id);

-- One run at a time over all nodes, and where the look through the orders goes on.
create table reconciliation_turns (
  id text collate "C" primary key,
  reconciliation_id text collate "C",
  held_until timestamptz,
  order_cursor text collate "C"
);

insert into reconciliation_turns (id) values ('ledger');

-- Our side of a comparison: what was made in a time.
create index payments_created_at on payments (created_at, order_id, id) where provider = 'stripe';

create index refunds_created_at on refunds (created_at, order_id, id);

create index disputes_created_at on disputes (created_at, order_id, id);

-- When money came and went, for what a day has brought.
alter table payments add column succeeded_at timestamptz;

alter table refunds add column succeeded_at timestamptz;

update payments set succeeded_at = updated_at where status = 'succeeded';

update refunds set succeeded_at = updated_at where status = 'succeeded';

create index payments_succeeded_at on payments (succeeded_at) where succeeded_at is not null;

create index refunds_succeeded_at on refunds (succeeded_at) where succeeded_at is not null;

-- Events that were stored and not yet understood: few, and looked for by their age.
create index provider_events_unprocessed on provider_events (received_at)
  where processed_at is null;

alter table orders add column flagged boolean not null default false;

update orders set flagged = true
  where id in (select order_id from payments where flag is not null);

create index orders_flagged on orders (created_at, id) where flagged;

create index orders_flagged_total on orders (total, id) where flagged;
