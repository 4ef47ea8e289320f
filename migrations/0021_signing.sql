-- How webhooks are signed: with several secrets while they change.

-- The newest secret stays where it was. Endpoints that never changed theirs need nothing here: their
-- secret is as old as they are, and its id is made of theirs.
alter table webhook_endpoint
  add column secret_id text collate "C",
  add column secret_created_at timestamptz,
  add column former_secrets jsonb;
comment on column webhook_endpoint.secret is 'The newest signing secret, sealed.';
comment on column webhook_endpoint.secret_id is
  'whs_… of the newest secret; null means that the endpoint has its first.';
comment on column webhook_endpoint.secret_created_at is
  'When the newest secret was made; null means together with the endpoint.';
comment on column webhook_endpoint.former_secrets is
  'The secrets before the newest, the oldest first: id, sealed (base64), createdAt, expiresAt. Each '
  'signs until it expires. Null means that there are none.';

alter table webhook_endpoint add column signature_schemes text[] not null default '{V1}';
comment on column webhook_endpoint.signature_schemes is
  'What webhook-signature holds: V1 by the secrets, V1A by the key pairs of the tenant.';

alter table webhook_endpoint add column headers jsonb;
comment on column webhook_endpoint.headers is
  'Headers of the tenant''s own that go with each webhook: name, sealed (base64; the value), updatedAt. '
  'Null means that there are none.';

create table webhook_key_set (
  tenant_id text collate "C" not null,
  keys jsonb not null,
  revision integer not null,
  updated_at timestamptz not null,
  constraint webhook_key_set_pkey primary key (tenant_id)
);
comment on table webhook_key_set is
  'The key pairs by which a tenant signs webhooks that anybody may verify; none until an endpoint wants it.';
comment on column webhook_key_set.tenant_id is 'Whose key pairs.';
comment on column webhook_key_set.keys is
  'The oldest first: id, publicKey (base64), sealed (base64; the private key), createdAt, expiresAt. '
  'The newest has no end; the others sign until theirs, and are shown longer.';
comment on column webhook_key_set.revision is 'Counts its changes; without a row it is 1.';
comment on column webhook_key_set.updated_at is 'When it last changed.';
call ubos_fence('webhook_key_set');
grant select, insert, update on webhook_key_set to ubos_api;
grant select on webhook_key_set to ubos_worker;
