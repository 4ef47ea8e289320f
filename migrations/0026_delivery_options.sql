-- How an endpoint wants to be told: when again after a failure, and how much at once.

alter table webhook_endpoint add column retry_delays_seconds integer[];
comment on column webhook_endpoint.retry_delays_seconds is
  'After which delays a delivery that failed is tried again; null is as the tenant''s settings say.';

create table webhook_settings (
  tenant_id text collate "C" not null,
  retry_delays_seconds integer[],
  revision integer not null,
  updated_at timestamptz not null,
  constraint webhook_settings_pkey primary key (tenant_id)
);
comment on table webhook_settings is
  'What holds for endpoints of a tenant that do not say otherwise; without a row, the usual.';
comment on column webhook_settings.tenant_id is 'Whose settings.';
comment on column webhook_settings.retry_delays_seconds is
  'After which delays a delivery that failed is tried again; null is the usual schedule.';
comment on column webhook_settings.revision is 'Counts its changes; without a row it is 1.';
comment on column webhook_settings.updated_at is 'When it last changed.';
call ubos_fence('webhook_settings');
grant select, insert, update on webhook_settings to ubos_api;
grant select on webhook_settings to ubos_worker;

alter table webhook_endpoint
  add column in_flight_max integer not null default 10,
  add column rate_count integer,
  add column rate_seconds integer;
alter table webhook_endpoint alter column in_flight_max drop default;
comment on column webhook_endpoint.in_flight_max is
  'How many requests to it may be under way at once, over all workers.';
comment on column webhook_endpoint.rate_count is
  'How many requests it may get within rate_seconds; null is as many as come.';
comment on column webhook_endpoint.rate_seconds is 'Within which time: 1 or 60; null without a rate.';

-- Written by claims, which take turns, and only where there is a rate: so it holds over all workers.
create table webhook_pace (
  tenant_id text collate "C" not null,
  endpoint_id text collate "C" not null,
  next_at timestamptz not null,
  constraint webhook_pace_pkey primary key (tenant_id, endpoint_id)
) with (fillfactor = 50);
comment on table webhook_pace is 'How far endpoints with a rate have spent it.';
comment on column webhook_pace.tenant_id is 'Whose endpoint.';
comment on column webhook_pace.endpoint_id is 'Which endpoint.';
comment on column webhook_pace.next_at is
  'When the next request would be due if all were sent evenly, by the clock of the database.';
call ubos_fence('webhook_pace');
grant select on webhook_pace to ubos_api;
grant select, insert, update on webhook_pace to ubos_worker;
