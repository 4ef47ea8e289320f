-- A long job is not given up for what others did to it: runs count against it while it gets no further.
alter table job
  add column fruitless_count integer not null default 0,
  add column furthest bigint not null default 0;
comment on column job.attempt_count is 'Runs that have begun.';
comment on column job.fruitless_count is
  'Runs in a row, the one under way included, before which it had got no further.';
comment on column job.furthest is 'The furthest that a run has come, as its task counts.';
