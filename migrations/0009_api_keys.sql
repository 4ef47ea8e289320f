-- More about keys: where they may be used from, whose they are, how they are used, and what
-- happened around them.

create table service_account (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  description text,
  status text not null,
  scopes text[],
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  revision integer not null,
  constraint service_account_pkey primary key (tenant_id, id),
  constraint service_account_status_check check (status in ('ENABLED', 'DISABLED'))
);
comment on table service_account is
  'A program or partner that has several keys: they are disabled and enabled together.';
comment on column service_account.tenant_id is 'Whose account.';
comment on column service_account.id is 'sva_…';
comment on column service_account.name is 'What people call it.';
comment on column service_account.description is 'What it is for.';
comment on column service_account.status is 'ENABLED or DISABLED; with DISABLED its keys rest.';
comment on column service_account.scopes is 'What its keys may do at most; null is no bound.';
comment on column service_account.created_at is 'When it was made.';
comment on column service_account.updated_at is 'When it last changed.';
comment on column service_account.deleted_at is 'When it was deleted; from then on it is not found.';
comment on column service_account.revision is 'Counts its changes, from 1.';
call ubos_fence('service_account');
grant select, insert, update on service_account to ubos_api;
grant select on service_account to ubos_worker;

alter table api_key
  add column allowed_ips text[] not null default '{}',
  add column service_account_id text collate "C",
  add column rotated_at timestamptz,
  add column previous_expires_at timestamptz,
  add constraint api_key_service_account_fkey
    foreign key (tenant_id, service_account_id) references service_account (tenant_id, id);
comment on column api_key.allowed_ips is
  'The addresses and ranges that it may be used from, in canonical form; none is from anywhere.';
comment on column api_key.service_account_id is 'The service account that it belongs to, if any.';
comment on column api_key.rotated_at is 'When it got its present secret; null while it has its first.';
comment on column api_key.previous_expires_at is
  'The end of the overlap of the secret before the present one.';
create index api_key_service_account_idx on api_key (tenant_id, service_account_id, id)
  where service_account_id is not null;
create index api_key_unrevoked_idx on api_key (tenant_id, id) where revoked_at is null;

comment on table key_change is
  'Which keys changed, alone or with all of their service account or tenant, in the order of commit: '
  'processes poll it and forget what they had cached.';

create table api_key_last_use (
  tenant_id text collate "C" not null,
  api_key_id text collate "C" not null,
  used_at timestamptz not null,
  ip text,
  previous_secret_used_at timestamptz,
  constraint api_key_last_use_pkey primary key (tenant_id, api_key_id)
) with (fillfactor = 70);
comment on table api_key_last_use is
  'When each key last opened the door: apart from api_key, whose row no call may lock.';
comment on column api_key_last_use.tenant_id is 'Whose key.';
comment on column api_key_last_use.api_key_id is 'Which key.';
comment on column api_key_last_use.used_at is 'When it was last used.';
comment on column api_key_last_use.ip is 'From which address.';
comment on column api_key_last_use.previous_secret_used_at is
  'When it was last used with a secret that was rotated out.';
call ubos_fence('api_key_last_use');
grant select on api_key_last_use to ubos_api;
grant select, insert, update on api_key_last_use to ubos_worker;

create table api_key_usage (
  tenant_id text collate "C" not null,
  api_key_id text collate "C" not null,
  used_on date not null,
  operation_id text collate "C" not null,
  calls bigint not null,
  constraint api_key_usage_pkey primary key (tenant_id, api_key_id, used_on, operation_id)
) with (fillfactor = 70);
create index api_key_usage_used_on_idx on api_key_usage (used_on);
comment on table api_key_usage is
  'How often each key called each operation on each day: added up in the processes, and here.';
comment on column api_key_usage.tenant_id is 'Whose key.';
comment on column api_key_usage.api_key_id is 'Which key.';
comment on column api_key_usage.used_on is 'The UTC day of the calls; kept for 90 days.';
comment on column api_key_usage.operation_id is 'The operation, as the contract names it.';
comment on column api_key_usage.calls is 'How often.';
call ubos_fence('api_key_usage');
grant select on api_key_usage to ubos_api;
grant select, insert, update, delete on api_key_usage to ubos_worker;

create table api_security_event (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  kind text not null,
  severity text not null,
  api_key_id text collate "C" not null,
  ip text,
  count bigint not null,
  occurred_at timestamptz not null,
  hour timestamptz,
  reasons text[] not null,
  constraint api_security_event_pkey primary key (tenant_id, id),
  constraint api_security_event_hour_key unique (tenant_id, api_key_id, kind, hour)
);
create index api_security_event_key_idx on api_security_event (tenant_id, api_key_id, id);
create index api_security_event_occurred_at_idx on api_security_event (occurred_at);
comment on table api_security_event is
  'What happened around keys: changes one by one, refused calls added up by the hour.';
comment on column api_security_event.tenant_id is 'Whose key.';
comment on column api_security_event.id is 'sec_…';
comment on column api_security_event.kind is 'What happened, as the contract names it.';
comment on column api_security_event.severity is 'LOW, MEDIUM or HIGH.';
comment on column api_security_event.api_key_id is 'To which key.';
comment on column api_security_event.ip is 'From which address, the last one of several.';
comment on column api_security_event.count is 'How often.';
comment on column api_security_event.occurred_at is 'When, the first time of several.';
comment on column api_security_event.hour is
  'The hour for which refused calls are added up; null for what is not added up.';
comment on column api_security_event.reasons is 'Why it is told, in sentences.';
call ubos_fence('api_security_event');
grant select, insert, update on api_security_event to ubos_api;
grant select, delete on api_security_event to ubos_worker;
