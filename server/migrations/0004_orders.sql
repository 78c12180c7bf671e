-- What a customer bought, as it was on the day: names, prices and options are snapshots.

-- People read numbers; they are unique and rise, with gaps, and mean nothing to the tax office.
create sequence order_numbers start with 1001;

create table orders (
  id text collate "C" primary key,
  number text collate "C" not null unique,
  source text not null check (source in ('checkout', 'direct')),
  status text not null
    check (status in ('pending', 'confirmed', 'in_progress', 'on_hold', 'completed', 'cancelled')),
  customer_id text collate "C" not null,
  customer_email text not null,
  customer_name text not null,
  currency text not null,
  subtotal bigint not null check (subtotal >= 0),
  discount bigint not null default 0 check (discount >= 0),
  tax bigint not null default 0 check (tax >= 0),
  total bigint not null check (total >= 0),
  -- The next three are what the ledger comes to; one function writes them (settleLedger).
  payment_status text not null,
  paid bigint not null default 0 check (paid >= 0),
  refunded bigint not null default 0 check (refunded >= 0),
  -- Whether work has ever begun: an order on hold may then not go back to confirmed.
  started boolean not null default false,
  -- Raised to make every order token of this order worthless.
  token_version integer not null default 1,
  case_id text collate "C",
  case_number text,
  case_status text,
  note text,
  metadata jsonb not null,
  version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  confirmed_at timestamptz,
  -- When it was completed or cancelled.
  closed_at timestamptz,
  close_reason text
);

create index orders_created_at on orders (created_at, id);

create index orders_total on orders (total, id);

create index orders_by_customer on orders (customer_id, created_at, id);

create index orders_by_customer_total on orders (customer_id, total, id);

create index orders_by_status on orders (status, created_at, id);

create index orders_by_status_total on orders (status, total, id);

create index orders_by_payment_status on orders (payment_status, created_at, id);

create index orders_by_payment_status_total on orders (payment_status, total, id);

-- Trigrams serve any part of a number, an e-mail or a name. The number is lowered apart: its "C"
-- collation would spread to the names and leave their Ü as it is.
create index orders_search on orders
  using gin (
    (lower(number) || ' ' || lower(customer_email || ' ' || customer_name)) gin_trgm_ops
  );

-- What the expiry looks through, and how many unpaid orders one customer has open.
create index orders_unpaid on orders (created_at, id)
  where status = 'pending' and source = 'checkout' and paid = 0;

create index orders_open_by_customer on orders (customer_id)
  where status = 'pending' and paid = 0;

create table order_lines (
  order_id text collate "C" not null references orders (id),
  id text collate "C" not null,
  position integer not null,
  service_id text collate "C" not null,
  name text not null,
  options jsonb not null,
  quantity integer not null check (quantity between 1 and 1000),
  unit_price bigint not null check (unit_price >= 0),
  discount_amount bigint not null default 0 check (discount_amount >= 0),
  -- Parts per million.
  tax_rate integer not null default 0 check (tax_rate >= 0),
  tax_amount bigint not null default 0 check (tax_amount >= 0),
  tax_inclusive boolean not null default true,
  total bigint not null check (total >= 0),
  turnaround_days integer,
  answers jsonb not null,
  primary key (order_id, id)
);
