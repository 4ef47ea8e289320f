-- Jobs that are made again and again: what, and when.

create table job_schedule (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  task text not null,
  payload jsonb not null,
  cron text not null,
  time_zone text not null,
  priority smallint not null,
  overlap text not null,
  catch_up text not null,
  status text not null,
  paused_reason text,
  next_run_at timestamptz,
  last_run_at timestamptz,
  last_skipped_at timestamptz,
  last_job_id text collate "C",
  created_at timestamptz not null,
  updated_at timestamptz not null,
  revision integer not null,
  constraint job_schedule_pkey primary key (tenant_id, id)
) with (fillfactor = 80);
create index job_schedule_due_idx on job_schedule (next_run_at) where next_run_at is not null;
comment on table job_schedule is 'Makes a job of one task at each of its times.';
comment on column job_schedule.tenant_id is 'Whose schedule.';
comment on column job_schedule.id is 'sch_…';
comment on column job_schedule.name is 'What the tenant calls it.';
comment on column job_schedule.task is 'Which task its jobs are of.';
comment on column job_schedule.payload is
  'What its jobs are to work on, as the contract has it: relative to the time of each.';
comment on column job_schedule.cron is 'When, in five fields.';
comment on column job_schedule.time_zone is 'The IANA name of the zone whose clocks it goes by.';
comment on column job_schedule.priority is 'Of its jobs: 1 is HIGH, 2 NORMAL, 3 LOW.';
comment on column job_schedule.overlap is
  'SKIP or ALLOW: whether it is time all the same while the job before is not over.';
comment on column job_schedule.catch_up is
  'NONE, LATEST or ALL: which times are made up for that passed while nothing ran.';
comment on column job_schedule.status is 'ENABLED or PAUSED.';
comment on column job_schedule.paused_reason is
  'Why the system paused it; null when it did not.';
comment on column job_schedule.next_run_at is 'Its next time; null while it is paused.';
comment on column job_schedule.last_run_at is 'The last time for which there is a job.';
comment on column job_schedule.last_skipped_at is 'The last time for which there is none.';
comment on column job_schedule.last_job_id is 'The last job that it made.';
comment on column job_schedule.created_at is 'When it was created.';
comment on column job_schedule.updated_at is 'When somebody last changed it.';
comment on column job_schedule.revision is 'How many changes it has seen, its creation included.';
call ubos_fence('job_schedule');
grant select, insert, update, delete on job_schedule to ubos_api;
grant select, update on job_schedule to ubos_worker;

create index job_made_by_idx on job (tenant_id, schedule_id, id) where schedule_id is not null;
