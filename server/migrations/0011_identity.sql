-- Proofs that travel by mail, colleagues who are invited, the second factor of staff, and records
-- that pass to the login whose e-mail they have.

-- Set while an invitation has not been taken up: until then the login has no password of anybody's.
alter table users add column invited_at timestamptz;

create index users_name on users (audience, (lower(name) collate "C"), id);

-- The record that this one has passed to, once a login had proved that the e-mail is its own.
alter table customers add column claimed_by text collate "C";

-- Name, e-mail and phone in small letters, as the server writes them.
alter table customers add column searched_text text not null default '';

update customers set searched_text = lower(name || ' ' || email) || ' '
  || coalesce(phone || ' ' || regexp_replace(phone, '[^0-9]', '', 'g'), '');

-- Trigrams serve any part of a name, an e-mail or a phone number.
create index customers_search on customers using gin (searched_text gin_trgm_ops);

create index customers_by_email on customers (email_lower, created_at, id);

create index customers_with_login on customers (created_at, id) where user_id is not null;

create index customers_with_login_name on customers ((lower(name) collate "C"), id)
  where user_id is not null;

-- Who has asked to register where e-mails are verified first. The id is the one that the login will
-- have. No password is here: whoever proves the e-mail chooses it then.
create table registrations (
  id text collate "C" primary key,
  email text not null,
  name text not null,
  version integer not null,
  created_at timestamptz not null
);

create index registrations_created_at on registrations (created_at, id);

-- What a mailed link may do, once. The id is the hash of the token's secret, which itself is in no
-- row; the root is a login or a registration.
create table mail_tokens (
  user_id text collate "C" not null,
  id text collate "C" not null,
  purpose text not null check (purpose in ('verify_email', 'password_reset', 'staff_invitation')),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (user_id, id)
);

create index mail_tokens_expires_at on mail_tokens (expires_at);

-- The secret that an authenticator shares with us, encrypted. It asks for nothing before a code has
-- shown that the authenticator has it.
create table second_factors (
  user_id text collate "C" primary key references users (id),
  secret text not null,
  activated_at timestamptz,
  -- The thirty seconds, counted since 1970, whose code was used last: no code works twice.
  last_step integer not null,
  created_at timestamptz not null
);

-- What signs in once where the authenticator is lost. The id is the code's hash under our key.
create table recovery_codes (
  user_id text collate "C" not null references users (id),
  id text collate "C" not null,
  created_at timestamptz not null,
  primary key (user_id, id)
);
