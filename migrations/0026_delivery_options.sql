-- How an endpoint wants to be told: when again after a failure.

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
