-- What the business sells: a tree of categories, the services in it, and the words that services
-- use, against which a search corrects typing errors. Both extensions are trusted: the owner of the
-- database may create them.

create extension if not exists pg_trgm;

create extension if not exists fuzzystrmatch;

-- One row. Who changes categories locks it alone, who changes services shares it, so that a tree
-- stays a tree and no category goes while a service enters it.
create table category_tree (
  id text collate "C" primary key
);

insert into category_tree (id) values ('tree');

create table categories (
  id text collate "C" primary key,
  slug text collate "C" not null,
  name text not null,
  description text,
  position integer not null,
  parent_id text collate "C" references categories (id),
  active_services integer not null check (active_services >= 0),
  version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint categories_slug unique (slug),
  constraint categories_not_own_parent check (parent_id <> id)
);

create index categories_position on categories (position, id);

create index categories_name on categories ((lower(name) collate "C"), id);

create index categories_parent_id on categories (parent_id, id);

create table services (
  id text collate "C" primary key,
  slug text collate "C" not null,
  name text not null,
  summary text,
  description text,
  category_id text collate "C" references categories (id),
  price_amount integer not null check (price_amount >= 0),
  price_currency text collate "C" not null,
  options jsonb not null,
  status text collate "C" not null check (status in ('draft', 'active', 'archived')),
  turnaround_days integer check (turnaround_days >= 0),
  position integer not null,
  metadata jsonb not null,
  search tsvector not null,
  version integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz
)
-- A renamed category raises the versions of all its services: with room left on each page this
-- writes no index at all.
with (fillfactor = 75);

create unique index services_slug on services (slug) where deleted_at is null;

create index services_position on services (position, id) where deleted_at is null;

create index services_name on services ((lower(name) collate "C"), id) where deleted_at is null;

create index services_price on services (price_currency, price_amount, id)
  where deleted_at is null;

create index services_created_at on services (created_at, id) where deleted_at is null;

create index services_status_position on services (status, position, id)
  where deleted_at is null;

create index services_status_name on services (status, (lower(name) collate "C"), id)
  where deleted_at is null;

create index services_status_price on services (status, price_currency, price_amount, id)
  where deleted_at is null;

create index services_status_created_at on services (status, created_at, id)
  where deleted_at is null;

create index services_category_position on services (category_id, position, id)
  where deleted_at is null;

create index services_category_name on services (category_id, (lower(name) collate "C"), id)
  where deleted_at is null;

create index services_category_price on services (category_id, price_currency, price_amount, id)
  where deleted_at is null;

create index services_category_created_at on services (category_id, created_at, id)
  where deleted_at is null;

-- A search reads the pending entries from end to end, so that they are few; without any, each
-- write would cost an entry for each of its words.
create index services_search on services using gin (search)
  with (fastupdate = on, gin_pending_list_limit = 256) where deleted_at is null;

create index services_search_name on services using gin (ts_filter(search, '{a}'))
  with (fastupdate = on, gin_pending_list_limit = 256) where deleted_at is null;

-- How many services use a word of three letters or more. A row with none is swept by a job.
create table service_words (
  word text collate "C" primary key,
  services integer not null
);

create index service_words_trigrams on service_words using gin (word gin_trgm_ops)
  with (fastupdate = on, gin_pending_list_limit = 64);

create index service_words_length on service_words (length(word));
