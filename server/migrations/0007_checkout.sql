-- What the provider told us, stored before it is acknowledged. The payload is only a hint, so of it
-- only what finds the object again is kept.

create table provider_events (
  id text collate "C" primary key,
  type text not null,
  object_kind text not null,
  object_id text collate "C" not null,
  account text,
  livemode boolean not null,
  received_at timestamptz not null,
  processed_at timestamptz,
  outcome text
);

create index provider_events_received_at on provider_events (received_at);
