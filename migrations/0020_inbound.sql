-- Webhooks that others send us: who may (inbound_source), what came (inbound_receipt), by what a second
-- copy is known (inbound_dedupe), and the way from the address to the tenant (source_index).

create table inbound_source (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  scheme text not null,
  settings jsonb not null,
  secrets bytea not null,
  secret_count integer not null,
  allowed_ips text[] not null,
  body_bytes_max integer not null,
  secrets_changed_at timestamptz not null,
  accepts_undedupable boolean not null,
  status text not null,
  revision integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  constraint inbound_source_pkey primary key (tenant_id, id)
);
comment on table inbound_source is 'Somebody who sends webhooks to a tenant, and how they are verified.';
comment on column inbound_source.tenant_id is 'To whom it sends.';
comment on column inbound_source.id is 'src_…; it stands in the address that is sent to.';
comment on column inbound_source.name is 'What people call it.';
comment on column inbound_source.scheme is 'How its webhooks are verified, as the contract names it.';
comment on column inbound_source.settings is 'What the scheme has to know beside its secrets.';
comment on column inbound_source.secrets is 'A JSON list of secrets, the current one first, sealed as one.';
comment on column inbound_source.secret_count is 'How many secrets are in that list.';
comment on column inbound_source.secrets_changed_at is 'When those were last replaced.';
comment on column inbound_source.allowed_ips is 'From where it sends, in canonical form; empty is anywhere.';
comment on column inbound_source.body_bytes_max is 'A longer body is refused.';
comment on column inbound_source.accepts_undedupable is
  'Whether a webhook is taken by which a second copy could not be told from another one.';
comment on column inbound_source.status is 'ENABLED or DISABLED.';
comment on column inbound_source.revision is 'Counts its changes, from 1.';
comment on column inbound_source.created_at is 'When it was made.';
comment on column inbound_source.updated_at is 'When it last changed.';
comment on column inbound_source.deleted_at is 'Since when it is gone.';
call ubos_fence('inbound_source');
grant select, insert, update on inbound_source to ubos_api;
grant select on inbound_source to ubos_worker;

create table source_index (
  source_id text collate "C" not null,
  tenant_id text collate "C" not null,
  created_at timestamptz not null,
  constraint source_index_pkey primary key (source_id)
);
comment on table source_index is
  'From the id of a source, which is in the address, to its tenant: read before the tenant is known.';
comment on column source_index.source_id is 'src_…';
comment on column source_index.tenant_id is 'To whom the source sends.';
comment on column source_index.created_at is 'When the source was made.';
-- Not forced: its owner reads it across tenants, in the one function below.
alter table source_index enable row level security;
create policy tenant_fence on source_index for all to ubos_api
  using (tenant_id = ubos_tenant()) with check (tenant_id = ubos_tenant());
grant select, insert, delete on source_index to ubos_api;

create function ubos_find_source(id text) returns text
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
  as $$ select tenant_id from public.source_index where source_id = id $$;
comment on function ubos_find_source(text) is
  'The tenant of a source: with ubos_find_key, the crossings of tenants on the request path.';
revoke execute on function ubos_find_source(text) from public;
grant execute on function ubos_find_source(text) to ubos_api;

create table inbound_receipt (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  created_on date not null,
  source_id text collate "C" not null,
  scheme text not null,
  status text not null,
  provider_event_id text,
  event_type text,
  signed_at timestamptz,
  is_drift boolean not null,
  is_deduplicated boolean not null,
  ip text,
  headers jsonb,
  body bytea,
  body_bytes integer not null,
  correlation_id text collate "C" not null,
  received_at timestamptz not null,
  processed_at timestamptz,
  forward_count integer not null,
  constraint inbound_receipt_pkey primary key (tenant_id, id, created_on)
) partition by range (created_on);
create index inbound_receipt_source_idx on inbound_receipt (tenant_id, source_id, id);
create index inbound_receipt_status_idx on inbound_receipt (tenant_id, status, id);
create index inbound_receipt_payload_idx on inbound_receipt (created_on) where body is not null;
comment on table inbound_receipt is 'One webhook as it was received, once it was verified.';
comment on column inbound_receipt.tenant_id is 'Who received it.';
comment on column inbound_receipt.id is 'rcp_…';
comment on column inbound_receipt.created_on is 'The UTC day inside the id.';
comment on column inbound_receipt.source_id is 'Who sent it.';
comment on column inbound_receipt.scheme is 'How it was verified.';
comment on column inbound_receipt.status is 'RECEIVED, FORWARDED or QUARANTINED.';
comment on column inbound_receipt.provider_event_id is 'What the sender calls the event, if it says.';
comment on column inbound_receipt.event_type is 'What the sender calls the kind of event, if it says.';
comment on column inbound_receipt.signed_at is 'When it was signed, if that is signed too.';
comment on column inbound_receipt.is_drift is 'Whether the payload is not what its scheme promises.';
comment on column inbound_receipt.is_deduplicated is 'Whether a second copy would be known.';
comment on column inbound_receipt.ip is 'The address that it came from.';
comment on column inbound_receipt.headers is
  'The headers without credentials; null once they were erased with the body.';
comment on column inbound_receipt.body is 'The bytes as they came; null once they were erased.';
comment on column inbound_receipt.body_bytes is 'How many bytes those are or were.';
comment on column inbound_receipt.correlation_id is 'Ties it to the job and the event that follow.';
comment on column inbound_receipt.received_at is 'When it came.';
comment on column inbound_receipt.processed_at is 'When it was last forwarded or quarantined.';
comment on column inbound_receipt.forward_count is 'How often an event was made of it.';
call ubos_fence('inbound_receipt');
grant select, insert, update on inbound_receipt to ubos_api;
grant select, update (headers, body) on inbound_receipt to ubos_worker;

create table inbound_dedupe (
  tenant_id text collate "C" not null,
  source_id text collate "C" not null,
  dedupe_key bytea not null,
  receipt_id text collate "C" not null,
  received_at timestamptz not null,
  constraint inbound_dedupe_pkey primary key (tenant_id, source_id, dedupe_key)
);
create index inbound_dedupe_received_idx on inbound_dedupe (received_at);
comment on table inbound_dedupe is
  'By what a second copy of a webhook is known. Outlives the payload: senders repeat for weeks.';
comment on column inbound_dedupe.tenant_id is 'Who received it.';
comment on column inbound_dedupe.source_id is 'Who sent it.';
comment on column inbound_dedupe.dedupe_key is
  'SHA-256 of the sender''s event id, or else of the signed moment and the body.';
comment on column inbound_dedupe.receipt_id is 'The receipt of the first copy.';
comment on column inbound_dedupe.received_at is 'When that came.';
call ubos_fence('inbound_dedupe');
grant select, insert on inbound_dedupe to ubos_api;
grant select, delete on inbound_dedupe to ubos_worker;

create or replace function ubos_kept_days(parent text) returns integer
  language sql immutable parallel safe
  as $$
    select case parent
      when 'event' then 90
      when 'webhook_delivery' then 30
      when 'attempt' then 30
      when 'request_log' then 30
      when 'audit' then 400
      when 'inbound_receipt' then 90
    end
  $$;
