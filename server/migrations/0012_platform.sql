-- What watching needs: the audit trail read by time, type, actor and request, and the unexpected
-- errors, one row for each place in the code that they come from.

create index events_at on events (at, id);

create index events_by_type on events (type, at, id);

create index events_by_actor on events (actor_id, at, id) where actor_id is not null;

create index events_by_request on events (request_id, at, id) where request_id is not null;

create table unexpected_errors (
  -- The fingerprint.
  id text collate "C" primary key,
  kind text not null check (kind in ('request', 'job', 'listener', 'process')),
  name text not null,
  code text,
  -- A route's template, or the name of a job or listener.
  place text,
  -- Frames in our own code, newest first, without any message.
  stack jsonb not null,
  count bigint not null check (count > 0),
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  last_request_id text collate "C"
);

create index unexpected_errors_last_seen_at on unexpected_errors (last_seen_at, id);

create index unexpected_errors_by_kind on unexpected_errors (kind, last_seen_at, id);

create index unexpected_errors_count on unexpected_errors (count, id);

create index unexpected_errors_by_kind_count on unexpected_errors (kind, count, id);
