-- What the migrations make; made from the catalogue of a migrated database.

create extension fuzzystrmatch;

create extension pg_trgm;

create sequence case_numbers start with 1001;

create sequence order_numbers start with 1001;

create table case_notes (
  case_id text collate "C" not null,
  id text collate "C" not null,
  body text not null,
  visibility text not null,
  author_id text collate "C",
  author_kind text not null,
  created_at timestamp with time zone not null,
  constraint case_notes_pkey PRIMARY KEY (case_id, id),
  constraint case_notes_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases(id),
  constraint case_notes_author_kind_check CHECK ((author_kind = ANY (ARRAY['staff'::text, 'customer'::text, 'guest'::text, 'system'::text]))),
  constraint case_notes_visibility_check CHECK ((visibility = ANY (ARRAY['internal'::text, 'public'::text])))
);

create table cases (
  id text collate "C" not null,
  number text collate "C" not null,
  kind text not null,
  origin text not null,
  subject text not null,
  description text not null,
  status text not null,
  priority text not null,
  priority_rank smallint not null generated always as (
CASE priority
    WHEN 'low'::text THEN 1
    WHEN 'normal'::text THEN 2
    WHEN 'high'::text THEN 3
    ELSE 4
END) stored,
  contact_name text not null,
  contact_email text not null,
  contact_phone text,
  searched_text text not null,
  customer_id text collate "C",
  order_id text collate "C",
  order_cancelled_at timestamp with time zone,
  assignee_id text collate "C",
  tags text[] not null,
  due_at timestamp with time zone,
  outcome text,
  summary text,
  resolved_at timestamp with time zone,
  resolved_by_id text collate "C",
  resolved_by_kind text,
  version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint cases_pkey PRIMARY KEY (id),
  constraint cases_number_key UNIQUE (number),
  constraint cases_assignee_id_fkey FOREIGN KEY (assignee_id) REFERENCES users(id),
  constraint cases_check CHECK (((origin <> 'order'::text) OR (order_id IS NOT NULL))),
  constraint cases_check1 CHECK (((outcome IS NOT NULL) = (status = ANY (ARRAY['resolved'::text, 'closed'::text])))),
  constraint cases_check2 CHECK ((num_nonnulls(outcome, summary, resolved_at, resolved_by_kind) = ANY (ARRAY[0, 4]))),
  constraint cases_kind_check CHECK ((kind = ANY (ARRAY['lead'::text, 'case'::text]))),
  constraint cases_origin_check CHECK ((origin = ANY (ARRAY['order'::text, 'enquiry'::text, 'contact'::text]))),
  constraint cases_outcome_check CHECK ((outcome = ANY (ARRAY['completed'::text, 'declined'::text, 'duplicate'::text, 'no_response'::text]))),
  constraint cases_priority_check CHECK ((priority = ANY (ARRAY['low'::text, 'normal'::text, 'high'::text, 'urgent'::text]))),
  constraint cases_status_check CHECK ((status = ANY (ARRAY['new'::text, 'open'::text, 'waiting_customer'::text, 'waiting_third_party'::text, 'resolved'::text, 'closed'::text])))
);
CREATE INDEX cases_by_assignee ON cases USING btree (assignee_id, created_at, id) WHERE (assignee_id IS NOT NULL);
CREATE INDEX cases_by_customer ON cases USING btree (customer_id, created_at, id) WHERE (customer_id IS NOT NULL);
CREATE INDEX cases_by_kind ON cases USING btree (kind, created_at, id);
CREATE INDEX cases_by_order ON cases USING btree (order_id, created_at, id) WHERE (order_id IS NOT NULL);
CREATE INDEX cases_by_origin ON cases USING btree (origin, created_at, id);
CREATE INDEX cases_by_priority ON cases USING btree (priority_rank, created_at, id);
CREATE INDEX cases_by_status ON cases USING btree (status, created_at, id);
CREATE INDEX cases_created_at ON cases USING btree (created_at, id);
CREATE INDEX cases_due_at ON cases USING btree (due_at, id);
CREATE INDEX cases_due_at_descending ON cases USING btree (due_at DESC NULLS LAST, id DESC);
CREATE UNIQUE INDEX cases_one_for_an_order ON cases USING btree (order_id) WHERE (origin = 'order'::text);
CREATE INDEX cases_priority ON cases USING btree (priority_rank, id);
CREATE INDEX cases_resolved_at ON cases USING btree (resolved_at, id) WHERE (status = 'resolved'::text);
CREATE INDEX cases_search ON cases USING gin ((((lower(number) || ' '::text) || searched_text)) gin_trgm_ops);
CREATE INDEX cases_unfinished_due_at ON cases USING btree (due_at, id) WHERE (status = ANY (ARRAY['new'::text, 'open'::text, 'waiting_customer'::text, 'waiting_third_party'::text]));
CREATE INDEX cases_updated_at ON cases USING btree (updated_at, id);

create table categories (
  id text collate "C" not null,
  slug text collate "C" not null,
  name text not null,
  description text,
  position integer not null,
  parent_id text collate "C",
  active_services integer not null,
  version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint categories_pkey PRIMARY KEY (id),
  constraint categories_slug UNIQUE (slug),
  constraint categories_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES categories(id),
  constraint categories_active_services_check CHECK ((active_services >= 0)),
  constraint categories_not_own_parent CHECK ((parent_id <> id))
);
CREATE INDEX categories_name ON categories USING btree (lower(name) COLLATE "C", id);
CREATE INDEX categories_parent_id ON categories USING btree (parent_id, id);
CREATE INDEX categories_position ON categories USING btree ("position", id);

create table category_tree (
  id text collate "C" not null,
  constraint category_tree_pkey PRIMARY KEY (id)
);

create table customers (
  id text collate "C" not null,
  name text not null,
  email text not null,
  email_lower text collate "C" not null,
  phone text,
  user_id text collate "C",
  version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint customers_pkey PRIMARY KEY (id),
  constraint customers_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE INDEX customers_created_at ON customers USING btree (created_at, id);
CREATE INDEX customers_email_lower ON customers USING btree (email_lower, id);
CREATE INDEX customers_name ON customers USING btree (lower(name) COLLATE "C", id);
CREATE INDEX customers_user_id ON customers USING btree (user_id) WHERE (user_id IS NOT NULL);

create table disputes (
  order_id text collate "C" not null,
  id text collate "C" not null,
  payment_id text collate "C" not null,
  provider_ref text collate "C" not null,
  status text not null,
  amount bigint not null,
  currency text not null,
  reason text not null,
  due_by timestamp with time zone,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint disputes_pkey PRIMARY KEY (order_id, id),
  constraint disputes_order_id_payment_id_fkey FOREIGN KEY (order_id, payment_id) REFERENCES payments(order_id, id),
  constraint disputes_amount_check CHECK ((amount >= 0))
);
CREATE UNIQUE INDEX disputes_provider_ref ON disputes USING btree (order_id, provider_ref);

create table event_delivery (
  root_id text collate "C" not null,
  event_id text collate "C" not null,
  constraint event_delivery_pkey PRIMARY KEY (root_id, event_id)
);

create table events (
  root_id text collate "C" not null,
  id text collate "C" not null,
  root_version integer not null,
  type text not null,
  at timestamp with time zone not null,
  actor_id text collate "C",
  actor_kind text not null,
  request_id text,
  data jsonb not null,
  constraint events_pkey PRIMARY KEY (root_id, id),
  constraint events_root_id_root_version_key UNIQUE (root_id, root_version)
);

create table idempotency_keys (
  id text collate "C" not null,
  fingerprint text not null,
  holder text not null,
  lease_until timestamp with time zone not null,
  resource_id text collate "C",
  status smallint,
  headers jsonb,
  reply text,
  created_at timestamp with time zone not null,
  constraint idempotency_keys_pkey PRIMARY KEY (id)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING btree (created_at);

create table order_lines (
  order_id text collate "C" not null,
  id text collate "C" not null,
  position integer not null,
  service_id text collate "C" not null,
  name text not null,
  options jsonb not null,
  quantity integer not null,
  unit_price bigint not null,
  discount_amount bigint not null default 0,
  tax_rate integer not null default 0,
  tax_amount bigint not null default 0,
  tax_inclusive boolean not null default true,
  total bigint not null,
  turnaround_days integer,
  answers jsonb not null,
  constraint order_lines_pkey PRIMARY KEY (order_id, id),
  constraint order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id),
  constraint order_lines_discount_amount_check CHECK ((discount_amount >= 0)),
  constraint order_lines_quantity_check CHECK (((quantity >= 1) AND (quantity <= 1000))),
  constraint order_lines_tax_amount_check CHECK ((tax_amount >= 0)),
  constraint order_lines_tax_rate_check CHECK ((tax_rate >= 0)),
  constraint order_lines_total_check CHECK ((total >= 0)),
  constraint order_lines_unit_price_check CHECK ((unit_price >= 0))
);

create table orders (
  id text collate "C" not null,
  number text collate "C" not null,
  source text not null,
  status text not null,
  customer_id text collate "C" not null,
  customer_email text not null,
  customer_name text not null,
  currency text not null,
  subtotal bigint not null,
  discount bigint not null default 0,
  tax bigint not null default 0,
  total bigint not null,
  payment_status text not null,
  paid bigint not null default 0,
  refunded bigint not null default 0,
  started boolean not null default false,
  token_version integer not null default 1,
  case_id text collate "C",
  case_number text,
  case_status text,
  note text,
  metadata jsonb not null,
  version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  confirmed_at timestamp with time zone,
  closed_at timestamp with time zone,
  close_reason text,
  constraint orders_pkey PRIMARY KEY (id),
  constraint orders_number_key UNIQUE (number),
  constraint orders_discount_check CHECK ((discount >= 0)),
  constraint orders_paid_check CHECK ((paid >= 0)),
  constraint orders_refunded_check CHECK ((refunded >= 0)),
  constraint orders_source_check CHECK ((source = ANY (ARRAY['checkout'::text, 'direct'::text]))),
  constraint orders_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'confirmed'::text, 'in_progress'::text, 'on_hold'::text, 'completed'::text, 'cancelled'::text]))),
  constraint orders_subtotal_check CHECK ((subtotal >= 0)),
  constraint orders_tax_check CHECK ((tax >= 0)),
  constraint orders_total_check CHECK ((total >= 0))
);
CREATE INDEX orders_by_customer ON orders USING btree (customer_id, created_at, id);
CREATE INDEX orders_by_customer_total ON orders USING btree (customer_id, total, id);
CREATE INDEX orders_by_payment_status ON orders USING btree (payment_status, created_at, id);
CREATE INDEX orders_by_payment_status_total ON orders USING btree (payment_status, total, id);
CREATE INDEX orders_by_status ON orders USING btree (status, created_at, id);
CREATE INDEX orders_by_status_total ON orders USING btree (status, total, id);
CREATE INDEX orders_created_at ON orders USING btree (created_at, id);
CREATE INDEX orders_open_by_customer ON orders USING btree (customer_id) WHERE ((status = 'pending'::text) AND (paid = 0));
CREATE INDEX orders_search ON orders USING gin ((((lower(number) || ' '::text) || lower(((customer_email || ' '::text) || customer_name)))) gin_trgm_ops);
CREATE INDEX orders_total ON orders USING btree (total, id);
CREATE INDEX orders_unpaid ON orders USING btree (created_at, id) WHERE ((status = 'pending'::text) AND (source = 'checkout'::text) AND (paid = 0));

create table payments (
  order_id text collate "C" not null,
  id text collate "C" not null,
  provider text not null,
  mode text not null,
  status text not null,
  amount bigint not null,
  currency text not null,
  provider_ref text collate "C",
  intent_ref text collate "C",
  client_secret text,
  url text,
  next_amount bigint,
  failure jsonb,
  attempt integer not null default 0,
  flag text,
  step text,
  step_at timestamp with time zone,
  reference text,
  received_at timestamp with time zone,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  checked_at timestamp with time zone,
  constraint payments_pkey PRIMARY KEY (order_id, id),
  constraint payments_amount_check CHECK ((amount >= 0)),
  constraint payments_mode_check CHECK ((mode = ANY (ARRAY['intent'::text, 'hosted'::text, 'manual'::text]))),
  constraint payments_provider_check CHECK ((provider = ANY (ARRAY['stripe'::text, 'manual'::text]))),
  constraint payments_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'processing'::text, 'failed'::text, 'succeeded'::text, 'canceled'::text])))
);
CREATE INDEX payments_live ON payments USING btree (checked_at, order_id, id) WHERE ((provider = 'stripe'::text) AND (status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'processing'::text, 'failed'::text])));
CREATE UNIQUE INDEX payments_one_live ON payments USING btree (order_id) WHERE ((provider = 'stripe'::text) AND (status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'processing'::text, 'failed'::text])));
CREATE UNIQUE INDEX payments_provider_ref ON payments USING btree (order_id, provider, provider_ref);

create table provider_events (
  id text collate "C" not null,
  type text not null,
  object_kind text not null,
  object_id text collate "C" not null,
  account text,
  livemode boolean not null,
  received_at timestamp with time zone not null,
  processed_at timestamp with time zone,
  outcome text,
  constraint provider_events_pkey PRIMARY KEY (id)
);
CREATE INDEX provider_events_received_at ON provider_events USING btree (received_at);

create table rate_limits (
  key text collate "C" not null,
  hits integer not null,
  expires_at timestamp with time zone not null,
  constraint rate_limits_pkey PRIMARY KEY (key)
);
CREATE INDEX rate_limits_expires_at ON rate_limits USING btree (expires_at);

create table refunds (
  order_id text collate "C" not null,
  id text collate "C" not null,
  payment_id text collate "C" not null,
  status text not null,
  amount bigint not null,
  currency text not null,
  reason text not null,
  provider_ref text collate "C",
  attempt integer not null default 0,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  checked_at timestamp with time zone,
  constraint refunds_pkey PRIMARY KEY (order_id, id),
  constraint refunds_order_id_payment_id_fkey FOREIGN KEY (order_id, payment_id) REFERENCES payments(order_id, id),
  constraint refunds_amount_check CHECK ((amount > 0)),
  constraint refunds_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])))
);
CREATE INDEX refunds_open ON refunds USING btree (checked_at, order_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'requires_action'::text]));
CREATE UNIQUE INDEX refunds_provider_ref ON refunds USING btree (order_id, provider_ref);

create table schema_migrations (
  name text collate "C" not null,
  checksum text not null,
  applied_at timestamp with time zone not null,
  constraint schema_migrations_pkey PRIMARY KEY (name)
);

create table service_words (
  word text collate "C" not null,
  services integer not null,
  constraint service_words_pkey PRIMARY KEY (word)
);
CREATE INDEX service_words_length ON service_words USING btree (length(word));
CREATE INDEX service_words_trigrams ON service_words USING gin (word gin_trgm_ops) WITH (fastupdate='on', gin_pending_list_limit='64');

create table services (
  id text collate "C" not null,
  slug text collate "C" not null,
  name text not null,
  summary text,
  description text,
  category_id text collate "C",
  price_amount integer not null,
  price_currency text collate "C" not null,
  options jsonb not null,
  status text collate "C" not null,
  turnaround_days integer,
  position integer not null,
  metadata jsonb not null,
  search tsvector not null,
  version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  deleted_at timestamp with time zone,
  constraint services_pkey PRIMARY KEY (id),
  constraint services_category_id_fkey FOREIGN KEY (category_id) REFERENCES categories(id),
  constraint services_price_amount_check CHECK ((price_amount >= 0)),
  constraint services_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'archived'::text]))),
  constraint services_turnaround_days_check CHECK ((turnaround_days >= 0))
);
CREATE INDEX services_category_created_at ON services USING btree (category_id, created_at, id) WHERE (deleted_at IS NULL);
CREATE INDEX services_category_name ON services USING btree (category_id, lower(name) COLLATE "C", id) WHERE (deleted_at IS NULL);
CREATE INDEX services_category_position ON services USING btree (category_id, "position", id) WHERE (deleted_at IS NULL);
CREATE INDEX services_category_price ON services USING btree (category_id, price_currency, price_amount, id) WHERE (deleted_at IS NULL);
CREATE INDEX services_created_at ON services USING btree (created_at, id) WHERE (deleted_at IS NULL);
CREATE INDEX services_name ON services USING btree (lower(name) COLLATE "C", id) WHERE (deleted_at IS NULL);
CREATE INDEX services_position ON services USING btree ("position", id) WHERE (deleted_at IS NULL);
CREATE INDEX services_price ON services USING btree (price_currency, price_amount, id) WHERE (deleted_at IS NULL);
CREATE INDEX services_search ON services USING gin (search) WITH (fastupdate='on', gin_pending_list_limit='256') WHERE (deleted_at IS NULL);
CREATE INDEX services_search_name ON services USING gin (ts_filter(search, '{a}'::"char"[])) WITH (fastupdate='on', gin_pending_list_limit='256') WHERE (deleted_at IS NULL);
CREATE UNIQUE INDEX services_slug ON services USING btree (slug) WHERE (deleted_at IS NULL);
CREATE INDEX services_status_created_at ON services USING btree (status, created_at, id) WHERE (deleted_at IS NULL);
CREATE INDEX services_status_name ON services USING btree (status, lower(name) COLLATE "C", id) WHERE (deleted_at IS NULL);
CREATE INDEX services_status_position ON services USING btree (status, "position", id) WHERE (deleted_at IS NULL);
CREATE INDEX services_status_price ON services USING btree (status, price_currency, price_amount, id) WHERE (deleted_at IS NULL);

create table sessions (
  id text collate "C" not null,
  user_id text collate "C" not null,
  audience text not null,
  token_hash text not null,
  previous_hash text,
  rotated_at timestamp with time zone not null,
  user_agent text,
  address text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  ends_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  end_reason text,
  constraint sessions_pkey PRIMARY KEY (id),
  constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id),
  constraint sessions_audience_check CHECK ((audience = ANY (ARRAY['customer'::text, 'staff'::text]))),
  constraint sessions_end CHECK (((revoked_at IS NULL) = (end_reason IS NULL)))
);
CREATE INDEX sessions_ends_at ON sessions USING btree (ends_at);
CREATE INDEX sessions_user_id ON sessions USING btree (user_id, created_at, id);

create table signing_keys (
  id text collate "C" not null,
  period integer not null,
  public_key text not null,
  private_key text not null,
  created_at timestamp with time zone not null,
  not_after timestamp with time zone not null,
  constraint signing_keys_pkey PRIMARY KEY (id),
  constraint signing_keys_period UNIQUE (period)
);

create table staff_roster (
  id text collate "C" not null,
  setup_token_hash text,
  setup_expires_at timestamp with time zone,
  constraint staff_roster_pkey PRIMARY KEY (id),
  constraint staff_roster_id_check CHECK ((id = 'staff'::text))
);

create table users (
  id text collate "C" not null,
  audience text not null,
  email text not null,
  email_key text collate "C" not null,
  name text not null,
  password_hash text not null,
  role text not null,
  customer_id text collate "C",
  email_verified boolean not null,
  mfa_enabled boolean not null,
  active boolean not null,
  version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_email UNIQUE (audience, email_key),
  constraint users_audience_check CHECK ((audience = ANY (ARRAY['customer'::text, 'staff'::text]))),
  constraint users_customer CHECK (((audience = 'customer'::text) = (customer_id IS NOT NULL))),
  constraint users_role CHECK (((audience = 'customer'::text) = (role = 'customer'::text))),
  constraint users_role_check CHECK ((role = ANY (ARRAY['customer'::text, 'admin'::text, 'manager'::text, 'agent'::text, 'finance'::text, 'viewer'::text])))
);
CREATE INDEX users_created_at ON users USING btree (audience, created_at, id);
