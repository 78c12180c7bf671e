-- People, their logins and their sessions.

-- A login. A reference table: written rarely, read by many, so nothing in it changes with use.
create table users (
  id text collate "C" primary key,
  audience text not null check (audience in ('customer', 'staff')),
  email text not null,
  email_key text collate "C" not null,
  name text not null,
  password_hash text not null,
  role text not null check (role in ('customer', 'admin', 'manager', 'agent', 'finance', 'viewer')),
  customer_id text collate "C",
  email_verified boolean not null,
  mfa_enabled boolean not null,
  active boolean not null,
  version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint users_email unique (audience, email_key),
  constraint users_role check ((audience = 'customer') = (role = 'customer')),
  constraint users_customer check ((audience = 'customer') = (customer_id is not null))
);

create index users_created_at on users (audience, created_at, id);

-- A customer's record. Many may have one e-mail; a login owns exactly one, named from both sides.
create table customers (
  id text collate "C" primary key,
  name text not null,
  email text not null,
  email_lower text collate "C" not null,
  phone text,
  user_id text collate "C" references users (id),
  version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create index customers_email_lower on customers (email_lower, id);
create index customers_user_id on customers (user_id) where user_id is not null;
create index customers_created_at on customers (created_at, id);
create index customers_name on customers (lower(name) collate "C", id);

-- One sign-in on one device. Of its refresh tokens only hashes are here: the live one's, and the
-- one's before it.
create table sessions (
  id text collate "C" primary key,
  user_id text collate "C" not null references users (id),
  audience text not null check (audience in ('customer', 'staff')),
  token_hash text not null,
  previous_hash text,
  rotated_at timestamptz not null,
  user_agent text,
  address text,
  created_at timestamptz not null,
  -- Moves on with each refresh, never beyond ends_at.
  expires_at timestamptz not null,
  ends_at timestamptz not null,
  revoked_at timestamptz,
  end_reason text,
  constraint sessions_end check ((revoked_at is null) = (end_reason is null))
);

create index sessions_user_id on sessions (user_id, created_at, id);
create index sessions_ends_at on sessions (ends_at);

-- What signs access tokens: one key for each period of 30 days, which makes two nodes that both
-- need the first key agree on one.
create table signing_keys (
  id text collate "C" primary key,
  period integer not null,
  public_key text not null,
  private_key text not null,
  created_at timestamptz not null,
  not_after timestamptz not null,
  constraint signing_keys_period unique (period)
);

-- One row, made at first need: locked by whoever makes the first admin or takes away what may be the
-- last one, and the home of the one-use token that makes the first.
create table staff_roster (
  id text collate "C" primary key check (id = 'staff'),
  setup_token_hash text,
  setup_expires_at timestamptz
);
