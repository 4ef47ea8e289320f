-- What was asked and how it was answered: a row for each call (request_log), figures that add up
-- (api_call_minute, api_call_hour), and signs of life (api_beat). Written in batches by the
-- processes that answer, off the path of any call, so all of it is the worker's to write.

create table request_log (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  created_on date not null,
  occurred_at timestamptz not null,
  operation_id text collate "C",
  method text not null,
  path text not null,
  status integer not null,
  code text,
  duration_ms double precision not null,
  auth_ms double precision,
  handler_ms double precision,
  api_key_id text collate "C",
  request_bytes integer not null,
  response_bytes integer not null,
  is_limited boolean not null,
  limit_state text,
  is_replay boolean not null,
  correlation_id text collate "C" not null,
  ip text,
  user_agent text,
  left_out_before integer not null,
  request_body text,
  response_body text,
  constraint request_log_pkey primary key (tenant_id, id, created_on)
) partition by range (created_on);
create index request_log_operation_idx on request_log (tenant_id, operation_id, id);
create index request_log_api_key_idx on request_log (tenant_id, api_key_id, id);
create index request_log_correlation_idx on request_log (tenant_id, correlation_id, id);
-- Successes are what a log consists of: of them the order by id finds a page at once.
create index request_log_error_idx on request_log (tenant_id, (status / 100), id)
  where status >= 400;
create index request_log_body_idx on request_log (tenant_id, created_on)
  where request_body is not null or response_body is not null;
comment on table request_log is
  'One call to the API and how it was answered. Calls without a known tenant are the operators''.';
comment on column request_log.tenant_id is 'Whose call; the reserved tenant where nobody is known.';
comment on column request_log.id is 'req_…, the X-Request-Id of the answer.';
comment on column request_log.created_on is 'The UTC day inside the id.';
comment on column request_log.occurred_at is 'When the request arrived.';
comment on column request_log.operation_id is 'Of the contract; null where no operation was met.';
comment on column request_log.method is 'As HTTP has it.';
comment on column request_log.path is
  'The contract''s template, or the path as sent where there is none. Never the query.';
comment on column request_log.status is 'The status answered.';
comment on column request_log.code is 'The code of the problem answered; null where there was none.';
comment on column request_log.duration_ms is 'How long it took in all.';
comment on column request_log.auth_ms is 'Of it: key, scopes and quota; null where not reached.';
comment on column request_log.handler_ms is 'Of it: the work itself; null where not begun.';
comment on column request_log.api_key_id is 'The key that called; null where none was recognised.';
comment on column request_log.request_bytes is 'Size of the request body as far as it was read.';
comment on column request_log.response_bytes is 'Size of the body answered.';
comment on column request_log.is_limited is 'Whether it was refused because there were too many.';
comment on column request_log.limit_state is 'The RateLimit header answered; null without one.';
comment on column request_log.is_replay is 'Whether it was the stored answer to an earlier call.';
comment on column request_log.correlation_id is 'What the caller calls the whole of it.';
comment on column request_log.ip is 'From which address; null where unknown.';
comment on column request_log.user_agent is 'The beginning of the User-Agent; null without one.';
comment on column request_log.left_out_before is
  'How many calls of this tenant the same process answered but did not write down before this one.';
comment on column request_log.request_body is
  'What was sent, its secrets hidden; null where the policy did not let it be kept.';
comment on column request_log.response_body is
  'What was answered, its secrets hidden; null where the policy did not let it be kept.';
call ubos_fence('request_log');
grant select on request_log to ubos_api;
grant select, insert, update on request_log to ubos_worker;

create table request_log_policy (
  tenant_id text collate "C" not null,
  keep_bodies text not null,
  retention_days integer not null,
  updated_at timestamptz not null,
  constraint request_log_policy_pkey primary key (tenant_id),
  constraint request_log_policy_keep_check check (keep_bodies in ('NONE', 'ERRORS', 'ALL')),
  constraint request_log_policy_days_check check (retention_days between 1 and 30)
);
create index request_log_policy_keepers_idx on request_log_policy (tenant_id)
  where keep_bodies <> 'NONE';
comment on table request_log_policy is
  'Of which calls a tenant''s bodies are kept; a tenant without a row keeps none.';
comment on column request_log_policy.tenant_id is 'Whose policy.';
comment on column request_log_policy.keep_bodies is 'NONE, ERRORS (4xx and 5xx) or ALL.';
comment on column request_log_policy.retention_days is 'After how many days bodies are erased.';
comment on column request_log_policy.updated_at is 'When it last changed.';
call ubos_fence('request_log_policy');
grant select, insert, update on request_log_policy to ubos_api;
grant select on request_log_policy to ubos_worker;

create table api_call_minute (
  tenant_id text collate "C" not null,
  minute timestamptz not null,
  operation_id text collate "C" not null,
  api_key_id text collate "C" not null,
  process_id text collate "C" not null,
  calls integer not null,
  client_errors integer not null,
  server_errors integer not null,
  limit_hits integer not null,
  request_bytes bigint not null,
  response_bytes bigint not null,
  latency_buckets integer[] not null,
  latency_counts integer[] not null,
  constraint api_call_minute_pkey
    primary key (tenant_id, minute, operation_id, api_key_id, process_id)
) with (fillfactor = 70);
create index api_call_minute_minute_idx on api_call_minute (minute);
comment on table api_call_minute is
  'What one process answered in one minute. It overwrites its row with its totals so far, so that '
  'writing twice does no harm, and readers add the processes up.';
comment on column api_call_minute.tenant_id is 'Whose calls.';
comment on column api_call_minute.minute is 'When the minute began in which they were answered.';
comment on column api_call_minute.operation_id is 'Of the contract; empty where none was met.';
comment on column api_call_minute.api_key_id is 'The key that called; empty without one.';
comment on column api_call_minute.process_id is 'Which process; new for each start.';
comment on column api_call_minute.calls is 'How many.';
comment on column api_call_minute.client_errors is 'Of them: answered with 4xx.';
comment on column api_call_minute.server_errors is 'Of them: answered with 5xx.';
comment on column api_call_minute.limit_hits is 'Of them: answered with 429.';
comment on column api_call_minute.request_bytes is 'Size of the request bodies together.';
comment on column api_call_minute.response_bytes is 'Size of the bodies answered together.';
comment on column api_call_minute.latency_buckets is
  'The histogram of their times: which buckets; i holds (g^(i-1), g^i] ms with g = 1.01 / 0.99.';
comment on column api_call_minute.latency_counts is 'How many calls each of those buckets holds.';
call ubos_fence('api_call_minute');
grant select on api_call_minute to ubos_api;
grant select, insert, update, delete on api_call_minute to ubos_worker;

create table api_call_hour (
  tenant_id text collate "C" not null,
  hour timestamptz not null,
  operation_id text collate "C" not null,
  api_key_id text collate "C" not null,
  calls bigint not null,
  client_errors bigint not null,
  server_errors bigint not null,
  limit_hits bigint not null,
  request_bytes bigint not null,
  response_bytes bigint not null,
  latency_buckets integer[] not null,
  latency_counts integer[] not null,
  constraint api_call_hour_pkey primary key (tenant_id, hour, operation_id, api_key_id)
);
create index api_call_hour_hour_idx on api_call_hour (hour);
comment on table api_call_hour is
  'The minutes of an hour, added up over all processes; once for each operation and key, and once '
  'for all of either and of both, so that a month is read from few rows.';
comment on column api_call_hour.tenant_id is 'Whose calls.';
comment on column api_call_hour.hour is 'When the hour began.';
comment on column api_call_hour.operation_id is
  'Of the contract; empty where none was met; * is all of them.';
comment on column api_call_hour.api_key_id is
  'The key that called; empty without one; * is all of them.';
comment on column api_call_hour.calls is 'How many.';
comment on column api_call_hour.client_errors is 'Of them: answered with 4xx.';
comment on column api_call_hour.server_errors is 'Of them: answered with 5xx.';
comment on column api_call_hour.limit_hits is 'Of them: answered with 429.';
comment on column api_call_hour.request_bytes is 'Size of the request bodies together.';
comment on column api_call_hour.response_bytes is 'Size of the bodies answered together.';
comment on column api_call_hour.latency_buckets is 'As in api_call_minute.';
comment on column api_call_hour.latency_counts is 'As in api_call_minute.';
call ubos_fence('api_call_hour');
grant select on api_call_hour to ubos_api;
grant select, insert, update, delete on api_call_hour to ubos_worker;

create table api_call_progress (
  singleton boolean not null default true,
  rolled_until timestamptz,
  constraint api_call_progress_pkey primary key (singleton),
  constraint api_call_progress_singleton_check check (singleton)
);
comment on table api_call_progress is 'How far the hours are made.';
comment on column api_call_progress.singleton is 'There is one row.';
comment on column api_call_progress.rolled_until is
  'Hours before it are in api_call_hour; readers take the minutes from there on. Null: none yet.';
insert into api_call_progress (rolled_until) values (null);
grant select on api_call_progress to ubos_api;
grant select, update on api_call_progress to ubos_worker;

create table api_beat (
  minute timestamptz not null,
  process_id text collate "C" not null,
  is_alive boolean not null,
  calls integer not null,
  failures integer not null,
  constraint api_beat_pkey primary key (minute, process_id)
) with (fillfactor = 70);
comment on table api_beat is
  'That an API process lived in a minute, and how its calls went: what uptime is computed from. '
  'Of the installation, of no tenant.';
comment on column api_beat.minute is 'When the minute began.';
comment on column api_beat.process_id is 'Which process; new for each start.';
comment on column api_beat.is_alive is 'Whether it reached the database within that very minute.';
comment on column api_beat.calls is 'How many calls it answered in that minute.';
comment on column api_beat.failures is 'Of them: answered with 5xx.';
grant select on api_beat to ubos_api;
grant select, insert, update, delete on api_beat to ubos_worker;
