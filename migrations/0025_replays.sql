-- Replays: what was told once is told again, page by page, and what was never told is told now.

create table webhook_replay (
  tenant_id text collate "C" not null,
  job_id text collate "C" not null,
  position bigint not null,
  until_position bigint not null,
  event_count bigint not null,
  delivery_count bigint not null,
  updated_at timestamptz not null,
  constraint webhook_replay_pkey primary key (tenant_id, job_id)
);
create index webhook_replay_updated_idx on webhook_replay (updated_at);
comment on table webhook_replay is
  'How far a replay is: written with each of its pages, so that whoever goes on with it repeats none.';
comment on column webhook_replay.tenant_id is 'Whose replay.';
comment on column webhook_replay.job_id is 'The job that does it.';
comment on column webhook_replay.position is 'Events up to this position are done.';
comment on column webhook_replay.until_position is 'The last position that it looks at.';
comment on column webhook_replay.event_count is 'Events that it fitted so far.';
comment on column webhook_replay.delivery_count is 'Deliveries that it made due so far.';
comment on column webhook_replay.updated_at is 'When its last page was written.';
call ubos_fence('webhook_replay');
grant select, insert, update on webhook_replay to ubos_api;
grant select, insert, update, delete on webhook_replay to ubos_worker;

-- Deliveries that fan-out did not make are counted, too.
grant insert, update on webhook_matched to ubos_api;

alter table webhook_delivery add column message_id text collate "C";
comment on column webhook_delivery.message_id is
  'What the endpoint hears as webhook-id; null is the id of the event.';
alter table delivery_due add column message_id text collate "C";
comment on column delivery_due.message_id is
  'What the endpoint hears as webhook-id; null is the id of the event.';
