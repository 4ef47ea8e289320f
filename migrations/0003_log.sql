-- The log: what happened (event), in which order (event_position), who did it (audit), and what
-- was answered (idempotency). Plain tables, partitioned by the UTC day inside each row's id.

create table event (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  created_on date not null,
  type text not null,
  version integer not null,
  occurred_at timestamptz not null,
  correlation_id text not null,
  body bytea not null,
  constraint event_pkey primary key (tenant_id, id, created_on)
) partition by range (created_on);
comment on table event is 'An immutable fact, written in the transaction that caused it.';
comment on column event.tenant_id is 'Whose fact it is.';
comment on column event.id is 'evt_…; the webhook-id of every delivery.';
comment on column event.created_on is 'The UTC day inside the id.';
comment on column event.type is 'noun.verb, of the contract.';
comment on column event.version is 'The version of the type''s schema.';
comment on column event.occurred_at is 'When it happened.';
comment on column event.correlation_id is 'Of the call that caused it.';
comment on column event.body is 'The envelope as it is sent: these bytes are what is signed.';
call ubos_fence('event');
grant select, insert on event to ubos_api;
grant select on event to ubos_worker;

create table event_pending (
  tenant_id text collate "C" not null,
  event_id text collate "C" not null,
  created_on date not null,
  type text not null,
  endpoint_id text collate "C",
  constraint event_pending_pkey primary key (tenant_id, event_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
comment on table event_pending is 'Events that have no position yet; emptied by the sequencer.';
comment on column event_pending.tenant_id is 'Whose event.';
comment on column event_pending.event_id is 'Which event.';
comment on column event_pending.created_on is 'The day of its partition.';
comment on column event_pending.type is 'Its type, so that matching needs no payload.';
comment on column event_pending.endpoint_id is 'The only endpoint that it is for; null is all.';
call ubos_fence('event_pending');
grant insert on event_pending to ubos_api;
grant select, delete on event_pending to ubos_worker;

create table stream_head (
  tenant_id text collate "C" not null,
  position bigint not null,
  constraint stream_head_pkey primary key (tenant_id)
) with (fillfactor = 50);
comment on table stream_head is 'The last position of each tenant''s stream; its lock is a turn.';
comment on column stream_head.tenant_id is 'Whose stream.';
comment on column stream_head.position is 'The last position given, 0 before the first.';
insert into stream_head (tenant_id, position) values ('ten_00000000000000000000000000', 0);
call ubos_fence('stream_head');
grant insert on stream_head to ubos_api;
grant select, update on stream_head to ubos_worker;

create table event_position (
  tenant_id text collate "C" not null,
  position bigint not null,
  event_id text collate "C" not null,
  created_on date not null,
  type text not null,
  constraint event_position_pkey primary key (tenant_id, position)
);
create unique index event_position_event_key on event_position (tenant_id, event_id);
comment on table event_position is 'The stream of a tenant: dense positions, in order of commit.';
comment on column event_position.tenant_id is 'Whose stream.';
comment on column event_position.position is '1, 2, 3, …';
comment on column event_position.event_id is 'The event at this position.';
comment on column event_position.created_on is 'The day of the event''s partition.';
comment on column event_position.type is 'The event''s type, so that a feed can filter by it.';
call ubos_fence('event_position');
grant select on event_position to ubos_api;
grant select, insert on event_position to ubos_worker;

create table audit (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  created_on date not null,
  occurred_at timestamptz not null,
  action text not null,
  resource_id text collate "C" not null,
  actor_type text not null,
  actor_id text collate "C" not null,
  request_id text not null,
  correlation_id text not null,
  ip text,
  before jsonb,
  after jsonb,
  constraint audit_pkey primary key (tenant_id, id, created_on)
) partition by range (created_on);
comment on table audit is 'Who did what to what, when, from where; only ever inserted.';
comment on column audit.tenant_id is 'In whose house it was done.';
comment on column audit.id is 'aud_…';
comment on column audit.created_on is 'The UTC day inside the id.';
comment on column audit.occurred_at is 'When it was done.';
comment on column audit.action is 'What was done, as noun.verb.';
comment on column audit.resource_id is 'To what.';
comment on column audit.actor_type is 'API_KEY, OPERATOR or SYSTEM.';
comment on column audit.actor_id is 'Which key, or which part of the system.';
comment on column audit.request_id is 'The request, or the run of the job.';
comment on column audit.correlation_id is 'What the caller calls the whole of it.';
comment on column audit.ip is 'From which address; null for the system itself.';
comment on column audit.before is 'The fields that changed, as they were.';
comment on column audit.after is 'The fields that changed, as they are.';
call ubos_fence('audit');
grant select, insert on audit to ubos_api;
grant insert on audit to ubos_worker;

create table idempotency (
  tenant_id text collate "C" not null,
  key text collate "C" not null,
  fingerprint bytea not null,
  status integer not null,
  headers jsonb not null,
  body bytea not null,
  is_sealed boolean not null,
  created_at timestamptz not null,
  constraint idempotency_pkey primary key (tenant_id, key)
);
create index idempotency_created_at_idx on idempotency (created_at);
comment on table idempotency is 'The answers given under a key, so that a retry gets the same.';
comment on column idempotency.tenant_id is 'Whose key.';
comment on column idempotency.key is 'The Idempotency-Key, without quotes.';
comment on column idempotency.fingerprint is 'SHA-256 over method, route, parameters, raw body.';
comment on column idempotency.status is 'The status answered; only successes are kept.';
comment on column idempotency.headers is 'The headers answered that belong to the reply.';
comment on column idempotency.body is 'The bytes answered, sealed when they hold a secret.';
comment on column idempotency.is_sealed is 'Whether body is sealed.';
comment on column idempotency.created_at is 'When; forgotten after a day.';
call ubos_fence('idempotency');
grant select, insert, update on idempotency to ubos_api;
grant select, delete on idempotency to ubos_worker;
