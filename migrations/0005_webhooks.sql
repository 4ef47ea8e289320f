-- Whom we tell about events (endpoint), our promise to tell (delivery), each try (attempt), and
-- the small hot table of what is still to be done (delivery_due).

create table webhook_endpoint (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  url text not null,
  description text,
  event_types text[] not null,
  status text not null,
  disabled_reason text,
  disabled_at timestamptz,
  secret bytea not null,
  revision integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  constraint webhook_endpoint_pkey primary key (tenant_id, id)
);
comment on table webhook_endpoint is 'A receiver: where it is, and what it wants to hear of.';
comment on column webhook_endpoint.tenant_id is 'Whose endpoint.';
comment on column webhook_endpoint.id is 'whe_…';
comment on column webhook_endpoint.url is 'Where deliveries are posted to.';
comment on column webhook_endpoint.description is 'A note for people.';
comment on column webhook_endpoint.event_types is 'The types that it is told about; * is all.';
comment on column webhook_endpoint.status is 'ENABLED or DISABLED.';
comment on column webhook_endpoint.disabled_reason is 'REQUESTED, GONE or FAILING; null while enabled.';
comment on column webhook_endpoint.disabled_at is 'Since when it is disabled; null while it is not.';
comment on column webhook_endpoint.secret is 'The signing secret, sealed.';
comment on column webhook_endpoint.revision is 'Counts its changes, from 1.';
comment on column webhook_endpoint.created_at is 'When it was made.';
comment on column webhook_endpoint.updated_at is 'When it last changed.';
comment on column webhook_endpoint.deleted_at is 'Since when it is gone.';
call ubos_fence('webhook_endpoint');
grant select, insert, update on webhook_endpoint to ubos_api, ubos_worker;

create table webhook_delivery (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  created_on date not null,
  endpoint_id text collate "C" not null,
  event_id text collate "C" not null,
  event_created_on date not null,
  event_type text not null,
  status text not null,
  attempt_count integer not null,
  last_attempt_at timestamptz,
  last_response_status integer,
  delivered_at timestamptz,
  created_at timestamptz not null,
  constraint webhook_delivery_pkey primary key (tenant_id, id, created_on)
) partition by range (created_on);
create index webhook_delivery_endpoint_idx on webhook_delivery (tenant_id, endpoint_id, id);
create index webhook_delivery_event_idx on webhook_delivery (tenant_id, event_id);
comment on table webhook_delivery is 'Our promise to tell one endpoint about one event.';
comment on column webhook_delivery.tenant_id is 'Whose promise.';
comment on column webhook_delivery.id is 'whd_…';
comment on column webhook_delivery.created_on is 'The UTC day inside the id.';
comment on column webhook_delivery.endpoint_id is 'Whom we tell.';
comment on column webhook_delivery.event_id is 'What we tell.';
comment on column webhook_delivery.event_created_on is 'The day of the event''s partition.';
comment on column webhook_delivery.event_type is 'The event''s type.';
comment on column webhook_delivery.status is
  'PENDING, DELIVERED, EXHAUSTED or CANCELLED. A PENDING one under a lease is SENDING, and one '
  'whose endpoint is disabled is HELD.';
comment on column webhook_delivery.attempt_count is 'How many tries are recorded.';
comment on column webhook_delivery.last_attempt_at is 'When it was last tried.';
comment on column webhook_delivery.last_response_status is 'What the endpoint last answered.';
comment on column webhook_delivery.delivered_at is 'When the endpoint accepted it.';
comment on column webhook_delivery.created_at is 'When the promise was made.';
call ubos_fence('webhook_delivery');
grant select, update on webhook_delivery to ubos_api;
grant select, insert, update on webhook_delivery to ubos_worker;

create table delivery_due (
  tenant_id text collate "C" not null,
  endpoint_id text collate "C" not null,
  delivery_id text collate "C" not null,
  created_on date not null,
  event_id text collate "C" not null,
  event_created_on date not null,
  due_at timestamptz not null,
  attempt_count integer not null,
  retry_count integer not null,
  lease_token text collate "C",
  leased_until timestamptz,
  constraint delivery_due_pkey primary key (tenant_id, endpoint_id, delivery_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index delivery_due_lane_idx on delivery_due (tenant_id, endpoint_id, due_at, delivery_id);
create index delivery_due_leased_idx on delivery_due (tenant_id, endpoint_id)
  where lease_token is not null;
comment on table delivery_due is
  'Deliveries that are still to be made, also those held for a disabled endpoint. Hot: a row '
  'leaves when its delivery is done.';
comment on column delivery_due.tenant_id is 'Whose delivery.';
comment on column delivery_due.endpoint_id is 'To whom: (tenant, endpoint) is a lane.';
comment on column delivery_due.delivery_id is 'Which delivery.';
comment on column delivery_due.created_on is 'The day of the delivery''s partition.';
comment on column delivery_due.event_id is 'What is delivered.';
comment on column delivery_due.event_created_on is 'The day of the event''s partition.';
comment on column delivery_due.due_at is 'From when it may be claimed.';
comment on column delivery_due.attempt_count is 'How many tries are recorded.';
comment on column delivery_due.retry_count is 'How far along the schedule of retries it is.';
comment on column delivery_due.lease_token is
  'Of the claim that holds it; an outcome is recorded only by the holder.';
comment on column delivery_due.leased_until is
  'When the lease ends: from then on anyone may claim it, so a dead worker holds nothing for long.';
call ubos_fence('delivery_due');
grant select, insert, update, delete on delivery_due to ubos_api, ubos_worker;

create table attempt (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  created_on date not null,
  delivery_id text collate "C" not null,
  number integer not null,
  started_at timestamptz not null,
  duration_ms integer not null,
  outcome text not null,
  response_status integer,
  response_body bytea,
  error text,
  address text,
  constraint attempt_pkey primary key (tenant_id, delivery_id, number, created_on)
) partition by range (created_on);
comment on table attempt is 'One try at a delivery, and what came back.';
comment on column attempt.tenant_id is 'Whose delivery.';
comment on column attempt.id is 'att_…';
comment on column attempt.created_on is 'The day of the delivery''s partition.';
comment on column attempt.delivery_id is 'Which delivery.';
comment on column attempt.number is '1 for the first try.';
comment on column attempt.started_at is 'When it began.';
comment on column attempt.duration_ms is 'How long it took, in milliseconds.';
comment on column attempt.outcome is 'How it ended, as the contract names it.';
comment on column attempt.response_status is 'The status answered, if any.';
comment on column attempt.response_body is 'The first 16 KiB answered.';
comment on column attempt.error is 'What went wrong when nothing was answered.';
comment on column attempt.address is 'The address that was dialled.';
call ubos_fence('attempt');
grant select on attempt to ubos_api;
grant select, insert on attempt to ubos_worker;
