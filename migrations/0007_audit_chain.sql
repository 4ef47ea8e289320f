-- The audit made whole: what else there is to say of an entry, the indexes of its filters, and the
-- chain by which damage shows. Entries are only ever inserted; nobody may change or delete one.

alter table audit add column details jsonb;
comment on column audit.details is
  'What else there is to say where nothing changed: why a key was refused, what was read.';
alter table audit alter column resource_id drop not null;
comment on column audit.resource_id is 'To what; null where it was not about one thing.';
comment on column audit.actor_type is 'API_KEY, OPERATOR, SYSTEM or ANONYMOUS.';
-- The sequencer of the chain reads what it chains.
grant select on audit to ubos_worker;

-- Each filter of the list, in the list's order.
create index audit_action_idx on audit (tenant_id, action, id);
create index audit_resource_idx on audit (tenant_id, resource_id, id);
create index audit_actor_idx on audit (tenant_id, actor_id, id);
create index audit_correlation_idx on audit (tenant_id, correlation_id, id);
create index audit_request_idx on audit (tenant_id, request_id, id);
-- Nearly all entries of a tenant are of its keys: those are found in the order of the ids.
create index audit_actor_type_idx on audit (tenant_id, actor_type, id)
  where actor_type <> 'API_KEY';

create table audit_pending (
  tenant_id text collate "C" not null,
  audit_id text collate "C" not null,
  created_on date not null,
  constraint audit_pending_pkey primary key (tenant_id, audit_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
comment on table audit_pending is 'Entries that are not chained yet; emptied by the chain.';
comment on column audit_pending.tenant_id is 'Whose entry.';
comment on column audit_pending.audit_id is 'Which entry.';
comment on column audit_pending.created_on is 'The day of its partition.';
call ubos_fence('audit_pending');
grant insert on audit_pending to ubos_api;
grant select, insert, delete on audit_pending to ubos_worker;

create table audit_head (
  tenant_id text collate "C" not null,
  position bigint not null,
  hash bytea not null,
  anchored_position bigint not null,
  constraint audit_head_pkey primary key (tenant_id)
) with (fillfactor = 50);
comment on table audit_head is 'The end of each tenant''s chain; its lock is a turn.';
comment on column audit_head.tenant_id is 'Whose chain.';
comment on column audit_head.position is 'The position of the last link, 0 before the first.';
comment on column audit_head.hash is 'The hash of the last link, 32 zero bytes before the first.';
comment on column audit_head.anchored_position is 'The position in the last anchor.';
call ubos_fence('audit_head');
grant select, insert, update on audit_head to ubos_worker;

create table audit_chain (
  tenant_id text collate "C" not null,
  position bigint not null,
  audit_id text collate "C" not null,
  created_on date not null,
  form integer not null,
  hash bytea not null,
  constraint audit_chain_pkey primary key (tenant_id, position)
);
comment on table audit_chain is
  'The entries of a tenant in the order in which they were chained; it outlives the entries.';
comment on column audit_chain.tenant_id is 'Whose chain.';
comment on column audit_chain.position is '1, 2, 3, …';
comment on column audit_chain.audit_id is 'The entry at this position.';
comment on column audit_chain.created_on is 'The day of the entry''s partition.';
comment on column audit_chain.form is 'In which form the entry was written down to be hashed.';
comment on column audit_chain.hash is 'SHA-256 of the hash before it and the entry.';
call ubos_fence('audit_chain');
grant select, insert on audit_chain to ubos_worker;

create table audit_anchor (
  number bigint not null,
  form integer not null,
  anchored_at timestamptz not null,
  previous_digest bytea,
  heads jsonb not null,
  head_count integer not null,
  digest bytea not null,
  key_id text not null,
  mac bytea not null,
  constraint audit_anchor_pkey primary key (number)
);
comment on table audit_anchor is
  'The state of all chains at one moment in one hash, each with the one before; outlives all.';
comment on column audit_anchor.number is '1, 2, 3, …';
comment on column audit_anchor.form is 'In which form the anchor was written down to be hashed.';
comment on column audit_anchor.anchored_at is 'When it was made.';
comment on column audit_anchor.previous_digest is 'Of the anchor before; null for the first.';
comment on column audit_anchor.heads is
  'The chains that grew since the anchor before: [tenant, position, hash in hex], by tenant.';
comment on column audit_anchor.head_count is 'How many those are.';
comment on column audit_anchor.digest is 'SHA-256 of number, time, previous digest and heads.';
comment on column audit_anchor.key_id is 'Names the master key that mac was made under.';
comment on column audit_anchor.mac is 'HMAC-SHA256 of the digest, by a sub-key of the master key.';
-- Not the heads: they name tenants.
grant select (number, anchored_at, previous_digest, head_count, digest, key_id, mac)
  on audit_anchor to ubos_api;
grant select, insert on audit_anchor to ubos_worker;

-- Entries from before this file are chained as well. An ordinary owner is behind the fence too.
alter table audit no force row level security;
alter table audit_pending no force row level security;
insert into audit_pending (tenant_id, audit_id, created_on)
select tenant_id, id, created_on from audit;
alter table audit force row level security;
alter table audit_pending force row level security;
