-- Attempts that were cut short are remembered by what is due, not by whoever took it over: two workers
-- may die over one delivery before anybody records anything.

alter table delivery_due add column interrupted_at timestamptz[] not null default '{}';
comment on column delivery_due.interrupted_at is
  'When leases ended under which it may have been sent and nothing was recorded, since the last record.';
