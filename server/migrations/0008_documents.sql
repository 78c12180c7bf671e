-- Files of orders and cases: what is known of each. The bytes lie in the file store under the
-- document's key; a row never exists without them, unless a scanner had them deleted.

create table documents (
  id text collate "C" primary key,
  -- What the world calls it: 160 random bits, and the name of its bytes in the store.
  key text collate "C" not null unique,
  filename text not null,
  content_type text not null,
  size bigint not null check (size > 0),
  sha256 text not null,
  status text not null check (status in ('quarantined', 'uploaded', 'accepted', 'rejected')),
  reason text,
  label text,
  visibility text not null check (visibility in ('customer', 'internal')),
  -- What it is linked to: one of the two, or nothing.
  order_id text collate "C",
  case_id text collate "C",
  -- Whose it is: the customer of what it is linked to, or the one who uploaded it.
  customer_id text collate "C",
  -- The order whose token opens it: the one it is linked to, or the one of its case.
  token_order_id text collate "C",
  -- A login for staff and customers, a customer's record for guests, nobody for Bureau itself.
  uploader_id text collate "C",
  uploader_kind text not null check (uploader_kind in ('staff', 'customer', 'guest', 'system')),
  -- Whose quota its bytes count against, beside the one of all.
  quota_customer_id text collate "C",
  -- False once the bytes were deleted because they held malware.
  has_bytes boolean not null default true,
  -- Since when the sweep has not found its bytes, which is a loss that somebody must look into.
  bytes_missing_since timestamptz,
  scan_attempts integer not null default 0,
  -- When a quarantined document is to be scanned (again).
  scan_due_at timestamptz,
  -- Who read it last and when: the same reader's next request within a minute is the same reading.
  read_by text,
  read_at timestamptz,
  -- Counts what is shown; reading changes nothing of that and is an event all the same.
  version integer not null,
  event_version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  check (num_nonnulls(order_id, case_id) <= 1),
  check (reason is null or status = 'rejected'),
  check (status <> 'rejected' or reason is not null),
  check (has_bytes or status = 'rejected'),
  check ((scan_due_at is not null) = (status = 'quarantined'))
);

-- The filters, each in the order of the sort.
create index documents_created_at on documents (created_at, id);

create index documents_by_status on documents (status, created_at, id);

create index documents_by_order on documents (order_id, created_at, id) where order_id is not null;

create index documents_by_case on documents (case_id, created_at, id) where case_id is not null;

create index documents_by_customer on documents (customer_id, created_at, id)
  where customer_id is not null;

create index documents_by_token_order on documents (token_order_id, created_at, id)
  where token_order_id is not null;

-- What is linked to nothing and is swept after a week.
create index documents_unlinked on documents (created_at, id)
  where order_id is null and case_id is null;

create index documents_to_scan on documents (scan_due_at, id) where status = 'quarantined';

create index documents_without_bytes on documents (bytes_missing_since, id)
  where bytes_missing_since is not null;

-- What is stored for each customer, and under `all` for everybody: quotas are kept on these rows,
-- because a sum over the documents could not be held still.
create table document_usage (
  id text collate "C" primary key,
  bytes bigint not null check (bytes >= 0),
  files integer not null check (files >= 0)
);
