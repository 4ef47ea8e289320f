-- The health of endpoints. A row is there only for one that failed lately: what goes well is neither
-- written nor looked up, but for one join in the claim. All workers share it, and it outlives them.

create table webhook_endpoint_health (
  tenant_id text collate "C" not null,
  endpoint_id text collate "C" not null,
  state text not null,
  since timestamptz not null,
  consecutive_failures integer not null default 0,
  first_failure_at timestamptz,
  last_failure_at timestamptz,
  last_success_at timestamptz,
  last_outcome text,
  failure_share double precision not null default 0,
  opened_count integer not null default 0,
  open_until timestamptz,
  paused_until timestamptz,
  in_flight_limit integer,
  failures jsonb not null default '[]',
  warned integer not null default 0,
  warned_at timestamptz,
  constraint webhook_endpoint_health_pkey primary key (tenant_id, endpoint_id),
  constraint webhook_endpoint_health_state_check
    check (state in ('HEALTHY', 'DEGRADED', 'PROBING'))
) with (fillfactor = 50);
comment on table webhook_endpoint_health is
  'How an endpoint that failed lately is doing, and how much it is sent because of that; an endpoint '
  'without a row is well.';
comment on column webhook_endpoint_health.tenant_id is 'Whose endpoint.';
comment on column webhook_endpoint_health.endpoint_id is 'Which endpoint.';
comment on column webhook_endpoint_health.state is 'HEALTHY, DEGRADED or PROBING (its circuit is open).';
comment on column webhook_endpoint_health.since is 'Since when it is in this state.';
comment on column webhook_endpoint_health.consecutive_failures is
  'Attempts that failed since the last one that was accepted.';
comment on column webhook_endpoint_health.first_failure_at is 'When the first of those ended.';
comment on column webhook_endpoint_health.last_failure_at is 'When an attempt last failed.';
comment on column webhook_endpoint_health.last_success_at is
  'When an attempt was last accepted, since the row is there.';
comment on column webhook_endpoint_health.last_outcome is 'How the last attempt ended.';
comment on column webhook_endpoint_health.failure_share is
  'Which part of the attempts failed, the latest counting most.';
comment on column webhook_endpoint_health.opened_count is
  'How often in a row the circuit opened; 0 while it is closed.';
comment on column webhook_endpoint_health.open_until is 'Nothing is sent before then: the circuit is open.';
comment on column webhook_endpoint_health.paused_until is
  'Nothing is sent before then: the endpoint asked for it by Retry-After.';
comment on column webhook_endpoint_health.in_flight_limit is
  'How many deliveries may be under way at once; null is as many as otherwise.';
comment on column webhook_endpoint_health.failures is 'The last attempts that failed, the newest first.';
comment on column webhook_endpoint_health.warned is
  'How often its tenant was warned of these failures: 0, 1 or 2.';
comment on column webhook_endpoint_health.warned_at is 'When it was warned last.';
call ubos_fence('webhook_endpoint_health');
grant select, update, delete on webhook_endpoint_health to ubos_api;
grant select, insert, update, delete on webhook_endpoint_health to ubos_worker;

-- A resumption may leave out what was held; what was left out shows that it was.
alter table webhook_delivery add column skipped_at timestamptz;
comment on column webhook_delivery.skipped_at is
  'When it was cancelled because its endpoint was resumed without it; null where that was not so.';

-- How deliveries went, added up by each worker as it records them: what it overwrites are totals of
-- its own, in spans of five minutes and of an hour at once.
create table webhook_metric (
  tenant_id text collate "C" not null,
  span_seconds integer not null,
  starts_at timestamptz not null,
  endpoint_id text collate "C" not null,
  process_id text collate "C" not null,
  outcomes text[] not null,
  outcome_counts integer[] not null,
  delivered integer not null,
  exhausted integer not null,
  latency_buckets integer[] not null,
  latency_counts integer[] not null,
  constraint webhook_metric_pkey
    primary key (tenant_id, span_seconds, starts_at, endpoint_id, process_id)
) with (fillfactor = 70);
create index webhook_metric_age_idx on webhook_metric (span_seconds, starts_at);
comment on table webhook_metric is
  'What one worker recorded of one endpoint within one span of time: its totals so far.';
comment on column webhook_metric.tenant_id is 'Whose endpoint.';
comment on column webhook_metric.span_seconds is 'How long the span is: 300 or 3600.';
comment on column webhook_metric.starts_at is 'When the span began in which attempts ended.';
comment on column webhook_metric.endpoint_id is 'Which endpoint.';
comment on column webhook_metric.process_id is 'Which worker; new for each start.';
comment on column webhook_metric.outcomes is 'How attempts ended, …';
comment on column webhook_metric.outcome_counts is '… and how many did so.';
comment on column webhook_metric.delivered is 'Deliveries that were accepted.';
comment on column webhook_metric.exhausted is 'Deliveries that were given up.';
comment on column webhook_metric.latency_buckets is
  'The histogram of how long attempts took, as in api_call_minute.';
comment on column webhook_metric.latency_counts is 'How many attempts each of those buckets holds.';
call ubos_fence('webhook_metric');
grant select on webhook_metric to ubos_api;
grant select, insert, update, delete on webhook_metric to ubos_worker;
