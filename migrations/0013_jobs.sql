-- Work behind the API: one row for each job (what, when, how it goes), and which of graphile-worker's
-- workers belongs to which process, so that a dead one's jobs are found at once.

create table job (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  task text not null,
  payload jsonb not null,
  status text not null,
  priority smallint not null,
  due_at timestamptz not null,
  unique_key text,
  schedule_id text collate "C",
  attempt_count integer not null,
  lease_token text collate "C",
  leased_until timestamptz,
  is_cancel_asked boolean not null default false,
  progress_done bigint,
  progress_total bigint,
  result jsonb,
  error text,
  actor_type text not null,
  actor_id text collate "C" not null,
  correlation_id text not null,
  traceparent text,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  constraint job_pkey primary key (tenant_id, id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
create unique index job_unique_key on job (tenant_id, task, unique_key)
  where unique_key is not null and status in ('PENDING', 'RUNNING');
create index job_waiting_idx on job (tenant_id, priority, due_at, id)
  where status = 'PENDING' and lease_token is null;
create index job_leased_idx on job (tenant_id, leased_until) where lease_token is not null;
create index job_finished_idx on job (finished_at) where finished_at is not null;
create index job_status_idx on job (tenant_id, status, id);
create index job_task_idx on job (tenant_id, task, id);
comment on table job is 'A unit of work behind the API; its row is its state and its history.';
comment on column job.tenant_id is 'Whose job.';
comment on column job.id is 'job_…';
comment on column job.task is 'Which code does it, as src/tasks.ts names it.';
comment on column job.payload is 'What the task is to work on: ids and small values.';
comment on column job.status is
  'PENDING, RUNNING, SUCCEEDED, FAILED or CANCELLED. A PENDING one under a lease has been handed to '
  'graphile-worker and waits for a free worker.';
comment on column job.priority is '1 is HIGH, 2 NORMAL, 3 LOW; within one, what is due longer.';
comment on column job.due_at is 'From when it may run; after a failure, when it is tried again.';
comment on column job.unique_key is
  'While a job of this task and key is pending or running, there is no second one; null is any number.';
comment on column job.schedule_id is 'The schedule that made it; null is somebody.';
comment on column job.attempt_count is 'How many runs have begun that were not given back.';
comment on column job.lease_token is 'Of whoever holds it; only the holder may start or finish it.';
comment on column job.leased_until is 'When the lease ends; the holder renews it while it runs.';
comment on column job.is_cancel_asked is 'Whether the run under way is to be broken off.';
comment on column job.progress_done is 'How much is done; null while the task does not say.';
comment on column job.progress_total is 'Of how much; null while the task does not know.';
comment on column job.result is 'What came of it; null until it succeeded.';
comment on column job.error is 'Why the last run failed, in words for the tenant.';
comment on column job.actor_type is 'Who asked for it, as in the audit.';
comment on column job.actor_id is 'Which key, or which part of the system.';
comment on column job.correlation_id is 'What the caller calls the whole of it.';
comment on column job.traceparent is 'The W3C trace that it is part of.';
comment on column job.created_at is 'When it was asked for.';
comment on column job.started_at is 'When the last run began.';
comment on column job.finished_at is 'When it succeeded, failed for good or was cancelled.';
call ubos_fence('job');
grant select, insert, update on job to ubos_api;
grant select, insert, update, delete on job to ubos_worker;

create table job_worker (
  worker_id text collate "C" not null,
  presence_id integer not null,
  started_at timestamptz not null default now(),
  constraint job_worker_pkey primary key (worker_id)
);
comment on table job_worker is 'Under which names the processes lock jobs in graphile-worker.';
comment on column job_worker.worker_id is 'As graphile-worker writes it beside the jobs it locks.';
comment on column job_worker.presence_id is 'The presence of the process: its advisory lock.';
comment on column job_worker.started_at is 'When it began.';
grant select, insert, delete on job_worker to ubos_worker;
