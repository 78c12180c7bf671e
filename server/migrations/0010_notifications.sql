-- The outbox: every mail that Bureau wrote or was told to write, and what became of it. What it says
-- to people stands here and nowhere else, so that it can be erased.

create table notifications (
  -- Derived from the fact that it tells of: the key makes one mail of one fact, however often heard.
  id text collate "C" primary key,
  template text not null,
  -- As it stands in the header, and folded for those who look for it.
  recipient_email text not null,
  recipient_key text not null,
  recipient_name text,
  customer_id text collate "C",
  -- Whose token the mail carries; the token itself is made at sending and stored nowhere.
  user_id text collate "C",
  -- The order or the case that it is about.
  about_id text collate "C",
  subject text not null,
  -- What the text is made of; null once it was pruned.
  data jsonb,
  status text not null check (status in ('queued', 'sent', 'failed', 'suppressed')),
  attempts integer not null,
  last_error text,
  message_id text collate "C",
  -- Since when it waits, and when it is next tried: both null once it waits no more.
  waiting_since timestamptz,
  next_attempt_at timestamptz,
  -- Somebody is sending it until then.
  leased_until timestamptz,
  version integer not null,
  created_at timestamptz not null,
  sent_at timestamptz,
  check ((status = 'queued') = (waiting_since is not null)),
  check ((status = 'queued') = (next_attempt_at is not null)),
  check ((status = 'sent') = (sent_at is not null))
);

-- The list, and its filters each in the order of the list.
create index notifications_created_at on notifications (created_at, id);

create index notifications_status on notifications (status, created_at, id);

create index notifications_template on notifications (template, created_at, id);

create index notifications_recipient on notifications (recipient_key, created_at, id);

create index notifications_customer on notifications (customer_id, created_at, id)
  where customer_id is not null;

create index notifications_about on notifications (about_id, created_at, id)
  where about_id is not null;

-- What is due: few rows at any time.
create index notifications_due on notifications (next_attempt_at, id) where status = 'queued';

-- What is to be pruned.
create index notifications_with_text on notifications (created_at)
  where data is not null and status <> 'queued';
