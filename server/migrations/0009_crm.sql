-- The documents that a note speaks of, by their keys, in the order in which they were given.

alter table case_notes add column document_keys text[] not null default '{}';
