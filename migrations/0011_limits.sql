-- How much each caller may ask: what tenants have other than the usual, and what was spent.

create table tenant_limit (
  tenant_id text collate "C" not null,
  overrides jsonb not null,
  revision integer not null,
  updated_at timestamptz not null,
  constraint tenant_limit_pkey primary key (tenant_id)
);
comment on table tenant_limit is 'Limits of a tenant that differ from the usual ones.';
comment on column tenant_limit.tenant_id is 'Whose limits.';
comment on column tenant_limit.overrides is 'Only what differs: key, tenant, operations, concurrent.';
comment on column tenant_limit.revision is 'Counts the changes; 1 is the usual, without a row.';
comment on column tenant_limit.updated_at is 'When they last changed.';
call ubos_fence('tenant_limit');
grant select, insert, update on tenant_limit to ubos_api;
grant select on tenant_limit to ubos_worker;

comment on column key_change.api_key_id is 'The key that changed, or the tenant, for all its keys.';

-- Not logged: after a crash everybody begins with a whole quota, which does no harm.
create unlogged table quota_spent (
  tenant_id text collate "C" not null,
  bucket text collate "C" not null,
  arrival_ms double precision not null,
  constraint quota_spent_pkey primary key (tenant_id, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create index quota_spent_arrival_idx on quota_spent (arrival_ms);
comment on table quota_spent is 'What all processes together let each caller spend.';
comment on column quota_spent.tenant_id is 'Whose quota.';
comment on column quota_spent.bucket is 'The caller and the policy.';
comment on column quota_spent.arrival_ms is
  'The moment, in ms since 1970, at which nothing of the quota will be spent any more.';
call ubos_fence('quota_spent');
grant select, insert, update, delete on quota_spent to ubos_worker;
