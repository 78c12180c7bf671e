-- What every module stands on: the facts that happened, their way to the job queue, the keys that
-- make a repeated request harmless, and the limits that hold across nodes.

create table events (
  root_id text collate "C" not null,
  id text collate "C" not null,
  root_version integer not null,
  type text not null,
  at timestamptz not null,
  actor_id text collate "C",
  actor_kind text not null,
  request_id text,
  data jsonb not null,
  primary key (root_id, id),
  unique (root_id, root_version)
);

create table event_delivery (
  root_id text collate "C" not null,
  event_id text collate "C" not null,
  primary key (root_id, event_id)
);

create table idempotency_keys (
  id text collate "C" primary key,
  fingerprint text not null,
  holder text not null,
  lease_until timestamptz not null,
  resource_id text collate "C",
  status smallint,
  headers jsonb,
  reply text,
  created_at timestamptz not null
);

create index idempotency_keys_created_at on idempotency_keys (created_at);

create table rate_limits (
  key text collate "C" primary key,
  hits integer not null,
  expires_at timestamptz not null
);

create index rate_limits_expires_at on rate_limits (expires_at);
