-- What an endpoint is told in particular: beside the types of its events, what they say.

alter table webhook_endpoint add column filter jsonb not null default '[]';
alter table webhook_endpoint alter column filter drop default;
comment on column webhook_endpoint.filter is
  'Rules about events, all of which must hold, as the contract has them; empty lets all through.';
comment on column webhook_endpoint.event_types is
  'The types that it is told about; noun.* is all that begin so, * is all.';

alter table webhook_endpoint
  add column transformation text,
  add column has_transformed boolean not null default false,
  add column payload_version integer not null default 1,
  add column channel text not null default 'HTTP';
comment on column webhook_endpoint.transformation is
  'The JSONata expression that makes of an event what is sent; null sends the event.';
comment on column webhook_endpoint.has_transformed is
  'Whether it ever had a transformation: only then its deliveries are looked at for what they keep.';
comment on column webhook_endpoint.payload_version is
  'The version of the API whose shapes are sent.';
comment on column webhook_endpoint.channel is 'By which way it is told: HTTP.';

-- What is sent in place of the event is kept with the delivery: the bytes sent are the bytes stored.
alter table webhook_delivery
  add column is_transformed boolean not null default false,
  add column body bytea;
comment on column webhook_delivery.is_transformed is
  'Whether its endpoint had a transformation when the promise was made.';
comment on column webhook_delivery.body is
  'What is sent in place of the event, once it was made; null before, where the event is sent, and '
  'once it was erased.';

alter table retention_policy add column bodies_erased_to date not null default '-infinity';
comment on column retention_policy.bodies_erased_to is
  'Likewise of what was made of events for deliveries; it goes as soon as the events'' own.';
grant update (bodies_erased_to) on retention_policy to ubos_worker;

create table event_type (
  tenant_id text collate "C" not null,
  type text collate "C" not null,
  version integer not null,
  description text not null,
  schema text not null,
  example text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint event_type_pkey primary key (tenant_id, type)
);
comment on table event_type is 'Types of event that tenants publish themselves.';
comment on column event_type.tenant_id is 'Whose type.';
comment on column event_type.type is 'Its name, custom.….';
comment on column event_type.version is 'Counts the changes of its schema, from 1.';
comment on column event_type.description is 'What has happened, for people.';
comment on column event_type.schema is
  'The JSON Schema of data, as JSON; text, since it may hold what jsonb cannot.';
comment on column event_type.example is 'An example of data that fits the schema, as JSON.';
comment on column event_type.created_at is 'When it was registered.';
comment on column event_type.updated_at is 'When it last changed.';
call ubos_fence('event_type');
grant select, insert, update on event_type to ubos_api;

-- Somebody may ask for deliveries of their own.
grant insert on webhook_delivery to ubos_api;
