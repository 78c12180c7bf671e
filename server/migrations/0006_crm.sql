-- Cases: what the staff work on. One stands open for each confirmed order; others begin with a
-- customer's question, a colleague's entry or the public contact form.

create sequence case_numbers start with 1001;

create table cases (
  id text collate "C" primary key,
  number text collate "C" not null unique,
  kind text not null check (kind in ('lead', 'case')),
  origin text not null check (origin in ('order', 'enquiry', 'contact')),
  subject text not null,
  description text not null,
  status text not null
    check (status in
      ('new', 'open', 'waiting_customer', 'waiting_third_party', 'resolved', 'closed')),
  priority text not null check (priority in ('low', 'normal', 'high', 'urgent')),
  -- Words do not sort by urgency; this does.
  priority_rank smallint not null generated always as
    (case priority when 'low' then 1 when 'normal' then 2 when 'high' then 3 else 4 end) stored,
  -- Who wrote, as they named themselves then: a snapshot, also where there is a customer.
  contact_name text not null,
  contact_email text not null,
  contact_phone text,
  -- Subject, e-mail and name in small letters, as the server writes them: under some locales
  -- PostgreSQL knows the small letters of ASCII alone.
  searched_text text not null,
  customer_id text collate "C",
  -- Never changed: which order's row is locked before this one is read from here, unlocked.
  order_id text collate "C",
  order_cancelled_at timestamptz,
  assignee_id text collate "C" references users (id),
  tags text[] not null,
  due_at timestamptz,
  outcome text check (outcome in ('completed', 'declined', 'duplicate', 'no_response')),
  summary text,
  resolved_at timestamptz,
  resolved_by_id text collate "C",
  resolved_by_kind text,
  version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  check (origin <> 'order' or order_id is not null),
  -- A resolution is whole and stands exactly while the case is resolved or closed.
  check ((outcome is not null) = (status in ('resolved', 'closed'))),
  check (num_nonnulls(outcome, summary, resolved_at, resolved_by_kind) in (0, 4))
);

-- The four sorts. Nulls stand last both ways, so the due date needs an index for each.
create index cases_created_at on cases (created_at, id);

create index cases_updated_at on cases (updated_at, id);

create index cases_due_at on cases (due_at, id);

create index cases_due_at_descending on cases (due_at desc nulls last, id desc);

create index cases_priority on cases (priority_rank, id);

-- The filters, each in the order of the default sort.
create index cases_by_status on cases (status, created_at, id);

create index cases_by_kind on cases (kind, created_at, id);

create index cases_by_origin on cases (origin, created_at, id);

create index cases_by_priority on cases (priority_rank, created_at, id);

create index cases_by_assignee on cases (assignee_id, created_at, id)
  where assignee_id is not null;

create index cases_by_customer on cases (customer_id, created_at, id)
  where customer_id is not null;

create index cases_by_order on cases (order_id, created_at, id) where order_id is not null;

-- What can be overdue, by how long.
create index cases_unfinished_due_at on cases (due_at, id)
  where status in ('new', 'open', 'waiting_customer', 'waiting_third_party');

-- What closes by itself when its time has come.
create index cases_resolved_at on cases (resolved_at, id) where status = 'resolved';

-- Trigrams serve any part of a number, a subject, an e-mail or a name.
create index cases_search on cases using gin
  ((lower(number) || ' ' || searched_text) gin_trgm_ops);

-- A belt: what makes it one fulfilment case an order is the order's row lock.
create unique index cases_one_for_an_order on cases (order_id) where origin = 'order';

create table case_notes (
  case_id text collate "C" not null references cases (id),
  id text collate "C" not null,
  body text not null,
  visibility text not null check (visibility in ('internal', 'public')),
  -- A login for staff and customers, a customer's record for guests, nobody for Bureau itself.
  author_id text collate "C",
  author_kind text not null check (author_kind in ('staff', 'customer', 'guest', 'system')),
  created_at timestamptz not null,
  primary key (case_id, id)
);
