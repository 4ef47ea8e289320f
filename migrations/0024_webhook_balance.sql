-- The law of webhooks: what was matched is, for each endpoint and day, what is pending, sending,
-- delivered, held, exhausted and cancelled together. Matched is counted by whoever decides, apart
-- from the deliveries themselves, so that one that is missing is seen to be.

create table webhook_matched (
  tenant_id text collate "C" not null,
  endpoint_id text collate "C" not null,
  day date not null,
  matched bigint not null,
  told bigint not null default 0,
  constraint webhook_matched_pkey primary key (tenant_id, endpoint_id, day)
) with (fillfactor = 50);
comment on table webhook_matched is
  'How many events were matched with each endpoint, counted in the transaction that decided so.';
comment on column webhook_matched.tenant_id is 'Whose endpoint.';
comment on column webhook_matched.endpoint_id is 'Which endpoint.';
comment on column webhook_matched.day is 'The UTC day inside the ids of the deliveries.';
comment on column webhook_matched.matched is 'How many deliveries there must be.';
comment on column webhook_matched.told is 'The imbalance that was last told of; 0 is none.';
call ubos_fence('webhook_matched');
grant select on webhook_matched to ubos_api;
grant select, insert, update, delete on webhook_matched to ubos_worker;

-- What was promised before anybody counted is taken to be right.
insert into webhook_matched (tenant_id, endpoint_id, day, matched)
select tenant_id, endpoint_id, created_on, count(*) from webhook_delivery
group by tenant_id, endpoint_id, created_on;

-- What is still to be done counts only where both the promise and the work are there: a promise that
-- nobody works on is in no column, and so out of balance.
create view webhook_balance with (security_invoker = true) as
select tenant_id, endpoint_id, day,
  sum(matched)::bigint as matched, sum(pending)::bigint as pending,
  sum(sending)::bigint as sending, sum(delivered)::bigint as delivered,
  sum(held)::bigint as held, sum(exhausted)::bigint as exhausted,
  sum(cancelled)::bigint as cancelled,
  sum(matched - pending - sending - delivered - held - exhausted - cancelled)::bigint as missing
from (
  select tenant_id, endpoint_id, day, matched, 0 as pending, 0 as sending, 0 as delivered,
    0 as held, 0 as exhausted, 0 as cancelled
  from webhook_matched
  union all
  select tenant_id, endpoint_id, created_on, 0, 0, 0, (status = 'DELIVERED')::int,
    0, (status = 'EXHAUSTED')::int, (status = 'CANCELLED')::int
  from webhook_delivery
  union all
  select due.tenant_id, due.endpoint_id, due.created_on, 0,
    (state.is_now = 'PENDING')::int, (state.is_now = 'SENDING')::int, 0,
    (state.is_now = 'HELD')::int, 0, (state.is_now = 'CANCELLED')::int
  from delivery_due as due
  join webhook_delivery as delivery on delivery.tenant_id = due.tenant_id
    and delivery.id = due.delivery_id and delivery.created_on = due.created_on
    and delivery.endpoint_id = due.endpoint_id and delivery.status = 'PENDING'
  left join webhook_endpoint as endpoint
    on endpoint.tenant_id = due.tenant_id and endpoint.id = due.endpoint_id
  cross join lateral (
    select case
      when due.leased_until > clock_timestamp() then 'SENDING'
      when endpoint.deleted_at is not null then 'CANCELLED'
      when endpoint.status = 'DISABLED' then 'HELD'
      else 'PENDING' end as is_now
  ) as state
) as part
group by tenant_id, endpoint_id, day;
comment on view webhook_balance is
  'By tenant, endpoint and day: what was matched, and what became of it. missing is 0 by law.';
grant select on webhook_balance to ubos_api, ubos_worker;
