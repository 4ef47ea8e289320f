-- Who may come in: organizations, their tenants, and the keys that open them.

create table organization (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  production_tenant_id text collate "C" not null,
  sandbox_tenant_id text collate "C" not null,
  created_at timestamptz not null,
  constraint organization_pkey primary key (tenant_id, id)
);
comment on table organization is 'A customer. Kept by the operators, in their reserved tenant.';
comment on column organization.tenant_id is 'Always the reserved tenant of the operators.';
comment on column organization.id is 'org_…';
comment on column organization.name is 'What people call the customer.';
comment on column organization.production_tenant_id is 'Its tenant of the PRODUCTION environment.';
comment on column organization.sandbox_tenant_id is 'Its tenant of the SANDBOX environment.';
comment on column organization.created_at is 'When it was made.';
call ubos_fence('organization');
grant select, insert on organization to ubos_api;
grant select on organization to ubos_worker;

create table tenant (
  tenant_id text collate "C" not null,
  organization_id text collate "C" not null,
  environment text not null,
  created_at timestamptz not null,
  constraint tenant_pkey primary key (tenant_id),
  constraint tenant_environment_check check (environment in ('PRODUCTION', 'SANDBOX'))
);
comment on table tenant is 'One organization in one environment: the owner of every other row.';
comment on column tenant.tenant_id is 'ten_…, its own owner.';
comment on column tenant.organization_id is 'The organization that it belongs to.';
comment on column tenant.environment is 'PRODUCTION or SANDBOX.';
comment on column tenant.created_at is 'When it was made.';
-- The reserved tenant in which the operators' calls run.
insert into tenant (tenant_id, organization_id, environment, created_at)
values ('ten_00000000000000000000000000', 'org_00000000000000000000000000', 'PRODUCTION', now());
-- Fenced only now: the owner is behind the fence as well.
call ubos_fence('tenant');
-- The update is for its row lock only: creations that count against a limit take turns on it.
grant select, insert, update on tenant to ubos_api;
grant select on tenant to ubos_worker;

create table api_key (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  prefix text not null,
  scopes text[] not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  revision integer not null,
  constraint api_key_pkey primary key (tenant_id, id)
);
comment on table api_key is 'What a caller may do and until when. The secret itself is not kept.';
comment on column api_key.tenant_id is 'The tenant that the key opens.';
comment on column api_key.id is 'key_…';
comment on column api_key.name is 'What people call the key.';
comment on column api_key.prefix is 'The first characters of the secret, to recognise it by.';
comment on column api_key.scopes is 'What it may do, as the contract names it; * is everything.';
comment on column api_key.expires_at is 'From then on it opens nothing; null is never.';
comment on column api_key.revoked_at is 'When it was revoked; null while it is not.';
comment on column api_key.created_at is 'When it was made.';
comment on column api_key.updated_at is 'When it last changed.';
comment on column api_key.revision is 'Counts its changes, from 1.';
call ubos_fence('api_key');
grant select, insert, update on api_key to ubos_api;
grant select on api_key to ubos_worker;

create table key_index (
  key_hash bytea not null,
  tenant_id text collate "C" not null,
  api_key_id text collate "C" not null,
  expires_at timestamptz,
  created_at timestamptz not null,
  constraint key_index_pkey primary key (key_hash)
);
create index key_index_api_key_idx on key_index (tenant_id, api_key_id);
comment on table key_index is
  'From the keyed hash of a secret to its tenant and key: read before the tenant is known.';
comment on column key_index.key_hash is 'Keyed hash of the secret (HMAC, 32 bytes).';
comment on column key_index.tenant_id is 'The tenant that the secret opens.';
comment on column key_index.api_key_id is 'The key that the secret belongs to.';
comment on column key_index.expires_at is
  'The end of the overlap of a secret that was rotated out; null for the current one.';
comment on column key_index.created_at is 'When the secret was made.';
-- Not forced: its owner reads it across tenants, in the one function below.
alter table key_index enable row level security;
create policy tenant_fence on key_index for all to ubos_api
  using (tenant_id = ubos_tenant()) with check (tenant_id = ubos_tenant());
grant select, insert, update on key_index to ubos_api;

create function ubos_find_key(hash bytea)
  returns table (tenant_id text, api_key_id text, expires_at timestamptz)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
  as $$
    select tenant_id, api_key_id, expires_at from public.key_index where key_hash = hash
  $$;
comment on function ubos_find_key(bytea) is
  'The tenant and key of a secret: the one crossing of tenants on the request path.';
revoke execute on function ubos_find_key(bytea) from public;
grant execute on function ubos_find_key(bytea) to ubos_api;

create table key_change_head (
  singleton boolean not null default true,
  position bigint not null,
  constraint key_change_head_pkey primary key (singleton),
  constraint key_change_head_singleton_check check (singleton)
);
comment on table key_change_head is 'The last position of key_change; its row lock orders commits.';
comment on column key_change_head.singleton is 'There is one row.';
comment on column key_change_head.position is 'The last position given.';
insert into key_change_head (position) values (0);

create table key_change (
  position bigint not null,
  api_key_id text collate "C" not null,
  changed_at timestamptz not null,
  constraint key_change_pkey primary key (position)
);
comment on table key_change is
  'Which keys changed, in the order of commit: processes poll it and forget what they had cached.';
comment on column key_change.position is 'Dense and in commit order.';
comment on column key_change.api_key_id is 'The key that changed.';
comment on column key_change.changed_at is 'When; rows of the last hour are kept.';
grant select on key_change_head, key_change to ubos_api;
grant update (position) on key_change_head to ubos_api;
grant insert on key_change to ubos_api;
grant select, delete on key_change to ubos_worker;

create table installation (
  singleton boolean not null default true,
  master_key_id text not null,
  constraint installation_pkey primary key (singleton),
  constraint installation_singleton_check check (singleton)
);
comment on table installation is 'What there is one of: written by the first process that starts.';
comment on column installation.singleton is 'There is one row.';
comment on column installation.master_key_id is
  'Names the master key that everything here is sealed with, and tells nothing of it.';
grant select, insert on installation to ubos_api;
