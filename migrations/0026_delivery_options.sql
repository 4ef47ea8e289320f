-- How an endpoint wants to be told: when again after a failure, and how much at once, in which
-- order, and whether several events come together.

alter table webhook_endpoint add column retry_delays_seconds integer[];
comment on column webhook_endpoint.retry_delays_seconds is
  'After which delays a delivery that failed is tried again; null is as the tenant''s settings say.';

create table webhook_settings (
  tenant_id text collate "C" not null,
  retry_delays_seconds integer[],
  revision integer not null,
  updated_at timestamptz not null,
  constraint webhook_settings_pkey primary key (tenant_id)
);
comment on table webhook_settings is
  'What holds for endpoints of a tenant that do not say otherwise; without a row, the usual.';
comment on column webhook_settings.tenant_id is 'Whose settings.';
comment on column webhook_settings.retry_delays_seconds is
  'After which delays a delivery that failed is tried again; null is the usual schedule.';
comment on column webhook_settings.revision is 'Counts its changes; without a row it is 1.';
comment on column webhook_settings.updated_at is 'When it last changed.';
call ubos_fence('webhook_settings');
grant select, insert, update on webhook_settings to ubos_api;
grant select on webhook_settings to ubos_worker;

alter table webhook_endpoint
  add column in_flight_max integer not null default 10,
  add column rate_count integer,
  add column rate_seconds integer;
alter table webhook_endpoint alter column in_flight_max drop default;
comment on column webhook_endpoint.in_flight_max is
  'How many requests to it may be under way at once, over all workers.';
comment on column webhook_endpoint.rate_count is
  'How many requests it may get within rate_seconds; null is as many as come.';
comment on column webhook_endpoint.rate_seconds is 'Within which time: 1 or 60; null without a rate.';

-- Written by claims, which take turns, and only where there is a rate: so it holds over all workers.
create table webhook_pace (
  tenant_id text collate "C" not null,
  endpoint_id text collate "C" not null,
  next_at timestamptz not null,
  constraint webhook_pace_pkey primary key (tenant_id, endpoint_id)
) with (fillfactor = 50);
comment on table webhook_pace is 'How far endpoints with a rate have spent it.';
comment on column webhook_pace.tenant_id is 'Whose endpoint.';
comment on column webhook_pace.endpoint_id is 'Which endpoint.';
comment on column webhook_pace.next_at is
  'When the next request would be due if all were sent evenly, by the clock of the database.';
call ubos_fence('webhook_pace');
grant select on webhook_pace to ubos_api;
grant select, insert, update on webhook_pace to ubos_worker;

alter table webhook_endpoint add column ordering text not null default 'NONE';
alter table webhook_endpoint alter column ordering drop default;
comment on column webhook_endpoint.ordering is
  'NONE, or RESOURCE: deliveries about one resource go out one after another.';

alter table delivery_due
  add column order_key text collate "C",
  add column position bigint;
create index delivery_due_order_idx
  on delivery_due (tenant_id, endpoint_id, order_key, position, delivery_id)
  where order_key is not null;
comment on column delivery_due.order_key is
  'What it is about, for an endpoint that wants order; of those with one key the first goes out.';
comment on column delivery_due.position is 'Of its event; null without order_key.';

-- The resource that an event is about: the id in its data. A text may hold more than jsonb and an
-- index can, so what Postgres cannot hold is replaced, and what is long is cut.
create function ubos_resource_in(body bytea) returns text
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
  as $$
  declare
    data json;
  begin
    data := regexp_replace(convert_from(body, 'UTF8'),
      '\\u(0000|d[89a-f][0-9a-f]{2})', '\\u0001', 'gi')::json -> 'data';
    return case when json_typeof(data -> 'id') = 'string' then left(data ->> 'id', 100) end;
  exception when data_exception or invalid_text_representation then
    return null;
  end $$;
comment on function ubos_resource_in(bytea) is
  'The id in the data of an event, as it orders deliveries; null where there is none.';

-- The place of a delivery in the order that its endpoint wants; nulls where it wants none.
create function ubos_order_of(tenant text, endpoint text, event text, event_day date)
  returns table (order_key text, "position" bigint)
  language plpgsql stable set search_path = pg_catalog, public, pg_temp
  as $$
  begin
    if (select ordering from webhook_endpoint
      where tenant_id = tenant and id = endpoint) = 'RESOURCE'
    then
      order_key := ubos_resource_in((select e.body from event as e
        where e.tenant_id = tenant and e.id = event and e.created_on = event_day));
    end if;
    if order_key is not null then
      -- An event that has no position yet will have the last.
      position := coalesce((select place.position from event_position as place
        where place.tenant_id = tenant and place.event_id = event), 9223372036854775807);
    end if;
    return next;
  end $$;
comment on function ubos_order_of(text, text, text, date) is
  'What a delivery is about and the position of its event, where its endpoint wants order.';

alter table webhook_endpoint
  add column batch_events_max integer,
  add column batch_wait_seconds integer;
comment on column webhook_endpoint.batch_events_max is
  'How many events come in one request at most; null is one each, and not as an array.';
comment on column webhook_endpoint.batch_wait_seconds is
  'For how long an event that is due waits for others; null without batches.';

alter table delivery_due add column batch_id text collate "C";
create index delivery_due_batch_idx on delivery_due (tenant_id, endpoint_id, batch_id)
  where batch_id is not null;
comment on column delivery_due.batch_id is
  'whb_…: what is sent together, again and again until it is accepted; null until it was claimed, and '
  'where each is sent by itself.';
