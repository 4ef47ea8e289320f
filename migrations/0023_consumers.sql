-- Places in a tenant's feed that we keep for its programs: how far each has come, and what is
-- handed out to it.

create table event_consumer (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  event_types text[] not null,
  position bigint not null,
  batch_id text collate "C",
  leased_to bigint,
  leased_until timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  revision integer not null,
  constraint event_consumer_pkey primary key (tenant_id, id)
) with (fillfactor = 50);
comment on table event_consumer is 'A place in the feed, kept for a program that fetches events.';
comment on column event_consumer.tenant_id is 'Whose consumer.';
comment on column event_consumer.id is 'evc_…';
comment on column event_consumer.name is 'What the tenant calls it.';
comment on column event_consumer.event_types is 'The types that it is handed; * is all.';
comment on column event_consumer.position is
  'Everything up to here is committed, or is not for this consumer.';
comment on column event_consumer.batch_id is
  'The batch that was handed out last: only who knows it may commit. Stays once all is committed.';
comment on column event_consumer.leased_to is 'How far that batch reaches; null once it is done.';
comment on column event_consumer.leased_until is
  'When its lease ends, by the clock of the database; null once it is done.';
comment on column event_consumer.created_at is 'When it was made.';
comment on column event_consumer.updated_at is 'When a batch was last handed out or committed.';
comment on column event_consumer.revision is 'Counts its changes, from 1.';
call ubos_fence('event_consumer');
grant select, insert, update, delete on event_consumer to ubos_api;

-- A consumer may begin now, which is behind the last position that was given.
grant select on stream_head to ubos_api;
