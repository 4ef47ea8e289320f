-- What became of webhooks that others send, added up by each process as it answers them, in the way of
-- webhook_metric: also of those that are refused, which leave nothing else behind.
create table inbound_metric (
  tenant_id text collate "C" not null,
  span_seconds integer not null,
  starts_at timestamptz not null,
  source_id text collate "C" not null,
  process_id text collate "C" not null,
  outcomes text[] not null,
  outcome_counts integer[] not null,
  outcome_last_at timestamptz[] not null,
  constraint inbound_metric_pkey
    primary key (tenant_id, span_seconds, starts_at, source_id, process_id)
) with (fillfactor = 70);
create index inbound_metric_age_idx on inbound_metric (span_seconds, starts_at);
comment on table inbound_metric is
  'What one process answered to one source within one span of time: its totals so far.';
comment on column inbound_metric.tenant_id is 'Whose source.';
comment on column inbound_metric.span_seconds is 'How long the span is: 300 or 3600.';
comment on column inbound_metric.starts_at is 'When the span began in which webhooks were answered.';
comment on column inbound_metric.source_id is 'Which source.';
comment on column inbound_metric.process_id is 'Which process; new for each start.';
comment on column inbound_metric.outcomes is 'What became of webhooks, …';
comment on column inbound_metric.outcome_counts is '… of how many that became, …';
comment on column inbound_metric.outcome_last_at is '… and when it last did.';
call ubos_fence('inbound_metric');
grant select on inbound_metric to ubos_api;
grant select, insert, update, delete on inbound_metric to ubos_worker;
