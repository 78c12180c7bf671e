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
  document_keys text[] not null default '{}'::text[],
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
  claimed_by text collate "C",
  searched_text text not null default ''::text,
  constraint customers_pkey PRIMARY KEY (id),
  constraint customers_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE INDEX customers_by_email ON customers USING btree (email_lower, created_at, id);
CREATE INDEX customers_created_at ON customers USING btree (created_at, id);
CREATE INDEX customers_email_lower ON customers USING btree (email_lower, id);
CREATE INDEX customers_name ON customers USING btree (lower(name) COLLATE "C", id);
CREATE INDEX customers_search ON customers USING gin (searched_text gin_trgm_ops);
CREATE INDEX customers_user_id ON customers USING btree (user_id) WHERE (user_id IS NOT NULL);
CREATE INDEX customers_with_login ON customers USING btree (created_at, id) WHERE (user_id IS NOT NULL);
CREATE INDEX customers_with_login_name ON customers USING btree (lower(name) COLLATE "C", id) WHERE (user_id IS NOT NULL);

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
CREATE INDEX disputes_created_at ON disputes USING btree (created_at, order_id, id);
CREATE UNIQUE INDEX disputes_provider_ref ON disputes USING btree (order_id, provider_ref);

create table document_usage (
  id text collate "C" not null,
  bytes bigint not null,
  files integer not null,
  constraint document_usage_pkey PRIMARY KEY (id),
  constraint document_usage_bytes_check CHECK ((bytes >= 0)),
  constraint document_usage_files_check CHECK ((files >= 0))
);

create table documents (
  id text collate "C" not null,
  key text collate "C" not null,
  filename text not null,
  content_type text not null,
  size bigint not null,
  sha256 text not null,
  status text not null,
  reason text,
  label text,
  visibility text not null,
  order_id text collate "C",
  case_id text collate "C",
  customer_id text collate "C",
  token_order_id text collate "C",
  uploader_id text collate "C",
  uploader_kind text not null,
  quota_customer_id text collate "C",
  has_bytes boolean not null default true,
  bytes_missing_since timestamp with time zone,
  scan_attempts integer not null default 0,
  scan_due_at timestamp with time zone,
  read_by text,
  read_at timestamp with time zone,
  version integer not null,
  event_version integer not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint documents_pkey PRIMARY KEY (id),
  constraint documents_key_key UNIQUE (key),
  constraint documents_check CHECK ((num_nonnulls(order_id, case_id) <= 1)),
  constraint documents_check1 CHECK (((reason IS NULL) OR (status = 'rejected'::text))),
  constraint documents_check2 CHECK (((status <> 'rejected'::text) OR (reason IS NOT NULL))),
  constraint documents_check3 CHECK ((has_bytes OR (status = 'rejected'::text))),
  constraint documents_check4 CHECK (((scan_due_at IS NOT NULL) = (status = 'quarantined'::text))),
  constraint documents_size_check CHECK ((size > 0)),
  constraint documents_status_check CHECK ((status = ANY (ARRAY['quarantined'::text, 'uploaded'::text, 'accepted'::text, 'rejected'::text]))),
  constraint documents_uploader_kind_check CHECK ((uploader_kind = ANY (ARRAY['staff'::text, 'customer'::text, 'guest'::text, 'system'::text]))),
  constraint documents_visibility_check CHECK ((visibility = ANY (ARRAY['customer'::text, 'internal'::text])))
);
CREATE INDEX documents_by_case ON documents USING btree (case_id, created_at, id) WHERE (case_id IS NOT NULL);
CREATE INDEX documents_by_customer ON documents USING btree (customer_id, created_at, id) WHERE (customer_id IS NOT NULL);
CREATE INDEX documents_by_order ON documents USING btree (order_id, created_at, id) WHERE (order_id IS NOT NULL);
CREATE INDEX documents_by_status ON documents USING btree (status, created_at, id);
CREATE INDEX documents_by_token_order ON documents USING btree (token_order_id, created_at, id) WHERE (token_order_id IS NOT NULL);
CREATE INDEX documents_created_at ON documents USING btree (created_at, id);
CREATE INDEX documents_to_scan ON documents USING btree (scan_due_at, id) WHERE (status = 'quarantined'::text);
CREATE INDEX documents_unlinked ON documents USING btree (created_at, id) WHERE ((order_id IS NULL) AND (case_id IS NULL));
CREATE INDEX documents_without_bytes ON documents USING btree (bytes_missing_since, id) WHERE (bytes_missing_since IS NOT NULL);

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
CREATE INDEX events_at ON events USING btree (at, id);
CREATE INDEX events_by_actor ON events USING btree (actor_id, at, id) WHERE (actor_id IS NOT NULL);
CREATE INDEX events_by_request ON events USING btree (request_id, at, id) WHERE (request_id IS NOT NULL);
CREATE INDEX events_by_type ON events USING btree (type, at, id);

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

create table job_processes (
  id text collate "C" not null,
  seen_at timestamp with time zone not null,
  constraint job_processes_pkey PRIMARY KEY (id)
);

create table mail_tokens (
  user_id text collate "C" not null,
  id text collate "C" not null,
  purpose text not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint mail_tokens_pkey PRIMARY KEY (user_id, id),
  constraint mail_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['verify_email'::text, 'password_reset'::text, 'staff_invitation'::text])))
);
CREATE INDEX mail_tokens_expires_at ON mail_tokens USING btree (expires_at);

create table notifications (
  id text collate "C" not null,
  template text not null,
  recipient_email text not null,
  recipient_key text not null,
  recipient_name text,
  customer_id text collate "C",
  user_id text collate "C",
  about_id text collate "C",
  subject text not null,
  data jsonb,
  status text not null,
  attempts integer not null,
  last_error text,
  message_id text collate "C",
  waiting_since timestamp with time zone,
  next_attempt_at timestamp with time zone,
  leased_until timestamp with time zone,
  version integer not null,
  created_at timestamp with time zone not null,
  sent_at timestamp with time zone,
  constraint notifications_pkey PRIMARY KEY (id),
  constraint notifications_check CHECK (((status = 'queued'::text) = (waiting_since IS NOT NULL))),
  constraint notifications_check1 CHECK (((status = 'queued'::text) = (next_attempt_at IS NOT NULL))),
  constraint notifications_check2 CHECK (((status = 'sent'::text) = (sent_at IS NOT NULL))),
  constraint notifications_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'sent'::text, 'failed'::text, 'suppressed'::text])))
);
CREATE INDEX notifications_about ON notifications USING btree (about_id, created_at, id) WHERE (about_id IS NOT NULL);
CREATE INDEX notifications_created_at ON notifications USING btree (created_at, id);
CREATE INDEX notifications_customer ON notifications USING btree (customer_id, created_at, id) WHERE (customer_id IS NOT NULL);
CREATE INDEX notifications_due ON notifications USING btree (next_attempt_at, id) WHERE (status = 'queued'::text);
CREATE INDEX notifications_recipient ON notifications USING btree (recipient_key, created_at, id);
CREATE INDEX notifications_status ON notifications USING btree (status, created_at, id);
CREATE INDEX notifications_template ON notifications USING btree (template, created_at, id);
CREATE INDEX notifications_with_text ON notifications USING btree (created_at) WHERE ((data IS NOT NULL) AND (status <> 'queued'::text));

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
  flagged boolean not null default false,
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
CREATE INDEX orders_flagged ON orders USING btree (created_at, id) WHERE flagged;
CREATE INDEX orders_flagged_total ON orders USING btree (total, id) WHERE flagged;
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
  succeeded_at timestamp with time zone,
  constraint payments_pkey PRIMARY KEY (order_id, id),
  constraint payments_amount_check CHECK ((amount >= 0)),
  constraint payments_mode_check CHECK ((mode = ANY (ARRAY['intent'::text, 'hosted'::text, 'manual'::text]))),
  constraint payments_provider_check CHECK ((provider = ANY (ARRAY['stripe'::text, 'manual'::text]))),
  constraint payments_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'processing'::text, 'failed'::text, 'succeeded'::text, 'canceled'::text])))
);
CREATE INDEX payments_created_at ON payments USING btree (created_at, order_id, id) WHERE (provider = 'stripe'::text);
CREATE INDEX payments_live ON payments USING btree (checked_at, order_id, id) WHERE ((provider = 'stripe'::text) AND (status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'processing'::text, 'failed'::text])));
CREATE UNIQUE INDEX payments_one_live ON payments USING btree (order_id) WHERE ((provider = 'stripe'::text) AND (status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'processing'::text, 'failed'::text])));
CREATE UNIQUE INDEX payments_provider_ref ON payments USING btree (order_id, provider, provider_ref);
CREATE INDEX payments_succeeded_at ON payments USING btree (succeeded_at) WHERE (succeeded_at IS NOT NULL);

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
CREATE INDEX provider_events_unprocessed ON provider_events USING btree (received_at) WHERE (processed_at IS NULL);

create table rate_limits (
  key text collate "C" not null,
  hits integer not null,
  expires_at timestamp with time zone not null,
  constraint rate_limits_pkey PRIMARY KEY (key)
);
CREATE INDEX rate_limits_expires_at ON rate_limits USING btree (expires_at);

create table reconciliation_differences (
  reconciliation_id text collate "C" not null,
  id text collate "C" not null,
  kind text not null,
  object text not null,
  object_id text collate "C",
  order_id text collate "C",
  provider_ref text collate "C",
  ours jsonb,
  theirs jsonb,
  healed boolean not null,
  created_at timestamp with time zone not null,
  constraint reconciliation_differences_pkey PRIMARY KEY (reconciliation_id, id),
  constraint reconciliation_differences_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliations(id),
  constraint reconciliation_differences_object_check CHECK ((object = ANY (ARRAY['payment'::text, 'refund'::text, 'dispute'::text, 'order'::text, 'event'::text])))
);
CREATE INDEX reconciliation_differences_created_at ON reconciliation_differences USING btree (reconciliation_id, created_at, id);

create table reconciliation_turns (
  id text collate "C" not null,
  reconciliation_id text collate "C",
  held_until timestamp with time zone,
  order_cursor text collate "C",
  constraint reconciliation_turns_pkey PRIMARY KEY (id)
);

create table reconciliations (
  id text collate "C" not null,
  scope text not null,
  status text not null,
  window_from timestamp with time zone not null,
  window_to timestamp with time zone not null,
  partial boolean not null default false,
  counts jsonb not null,
  output text,
  version integer not null,
  started_at timestamp with time zone not null,
  finished_at timestamp with time zone,
  constraint reconciliations_pkey PRIMARY KEY (id),
  constraint reconciliations_scope_check CHECK ((scope = ANY (ARRAY['recent'::text, 'wide'::text, 'requested'::text]))),
  constraint reconciliations_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'failed'::text])))
);
CREATE INDEX reconciliations_started_at ON reconciliations USING btree (started_at, id);

create table recovery_codes (
  user_id text collate "C" not null,
  id text collate "C" not null,
  created_at timestamp with time zone not null,
  constraint recovery_codes_pkey PRIMARY KEY (user_id, id),
  constraint recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);

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
  succeeded_at timestamp with time zone,
  constraint refunds_pkey PRIMARY KEY (order_id, id),
  constraint refunds_order_id_payment_id_fkey FOREIGN KEY (order_id, payment_id) REFERENCES payments(order_id, id),
  constraint refunds_amount_check CHECK ((amount > 0)),
  constraint refunds_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])))
);
CREATE INDEX refunds_created_at ON refunds USING btree (created_at, order_id, id);
CREATE INDEX refunds_open ON refunds USING btree (checked_at, order_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'requires_action'::text]));
CREATE UNIQUE INDEX refunds_provider_ref ON refunds USING btree (order_id, provider_ref);
CREATE INDEX refunds_succeeded_at ON refunds USING btree (succeeded_at) WHERE (succeeded_at IS NOT NULL);

create table registrations (
  id text collate "C" not null,
  email text not null,
  name text not null,
  version integer not null,
  created_at timestamp with time zone not null,
  constraint registrations_pkey PRIMARY KEY (id)
);
CREATE INDEX registrations_created_at ON registrations USING btree (created_at, id);

create table schema_migrations (
  name text collate "C" not null,
  checksum text not null,
  applied_at timestamp with time zone not null,
  constraint schema_migrations_pkey PRIMARY KEY (name)
);

create table second_factors (
  user_id text collate "C" not null,
  secret text not null,
  activated_at timestamp with time zone,
  last_step integer not null,
  created_at timestamp with time zone not null,
  constraint second_factors_pkey PRIMARY KEY (user_id),
  constraint second_factors_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
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

create table unexpected_errors (
  id text collate "C" not null,
  kind text not null,
  name text not null,
  code text,
  place text,
  stack jsonb not null,
  count bigint not null,
  first_seen_at timestamp with time zone not null,
  last_seen_at timestamp with time zone not null,
  last_request_id text collate "C",
  constraint unexpected_errors_pkey PRIMARY KEY (id),
  constraint unexpected_errors_count_check CHECK ((count > 0)),
  constraint unexpected_errors_kind_check CHECK ((kind = ANY (ARRAY['request'::text, 'job'::text, 'listener'::text, 'process'::text])))
);
CREATE INDEX unexpected_errors_by_kind ON unexpected_errors USING btree (kind, last_seen_at, id);
CREATE INDEX unexpected_errors_by_kind_count ON unexpected_errors USING btree (kind, count, id);
CREATE INDEX unexpected_errors_count ON unexpected_errors USING btree (count, id);
CREATE INDEX unexpected_errors_last_seen_at ON unexpected_errors USING btree (last_seen_at, id);

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
  invited_at timestamp with time zone,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_email UNIQUE (audience, email_key),
  constraint users_audience_check CHECK ((audience = ANY (ARRAY['customer'::text, 'staff'::text]))),
  constraint users_customer CHECK (((audience = 'customer'::text) = (customer_id IS NOT NULL))),
  constraint users_role CHECK (((audience = 'customer'::text) = (role = 'customer'::text))),
  constraint users_role_check CHECK ((role = ANY (ARRAY['customer'::text, 'admin'::text, 'manager'::text, 'agent'::text, 'finance'::text, 'viewer'::text])))
);
CREATE INDEX users_created_at ON users USING btree (audience, created_at, id);
CREATE INDEX users_name ON users USING btree (audience, lower(name) COLLATE "C", id);
