-- Which processes run jobs. One that has not been seen for a while is dead, and what it held is
-- given free: the job library alone would wait four hours.

create table job_processes (
  -- What the library writes into the locks of that process.
  id text collate "C" primary key,
  seen_at timestamptz not null
);
