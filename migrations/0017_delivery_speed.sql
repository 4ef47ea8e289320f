-- What claiming, recording and fan-out cost.

-- A claim looks for what waits: a delivery under a lease leaves this index and comes back with its
-- next try, so that no lane is read through what is leased.
drop index delivery_due_lane_idx;
create index delivery_due_waiting_idx on delivery_due (tenant_id, endpoint_id, due_at, delivery_id)
  where lease_token is null;

-- What is leased is counted lane by lane, and what is leased no longer is found, in the index alone.
drop index delivery_due_leased_idx;
create index delivery_due_leased_idx on delivery_due (tenant_id, endpoint_id, leased_until)
  where lease_token is not null;

-- A delivery is recorded by its id. In order of ids rows are added at the end of this index.
alter table delivery_due
  drop constraint delivery_due_pkey,
  add constraint delivery_due_pkey primary key (tenant_id, delivery_id);

-- Each delivery is changed at least once, when its first outcome is recorded. Room in the page lets
-- that change leave the indexes alone.
create or replace function ubos_make_partitions(first_day date, days integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
  declare
    parent regclass;
    day date;
    child text;
    options text;
    made integer := 0;
  begin
    for parent in
      select partrelid from pg_partitioned_table order by partrelid
    loop
      options := case parent::text when 'webhook_delivery' then 'with (fillfactor = 50)' else '' end;
      for day in select generate_series(first_day, first_day + days - 1, interval '1 day') loop
        child := parent::text || '_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('public.' || child) is not null;
        perform pg_advisory_xact_lock(hashtextextended('ubos_make_partitions', 0));
        continue when to_regclass('public.' || child) is not null;
        execute format('create table public.%I (like %s including all) %s', child, parent, options);
        execute format(
          'alter table %s attach partition public.%I for values from (%L) to (%L)',
          parent, child, day, day + 1);
        made := made + 1;
      end loop;
    end loop;
    return made;
  end $$;

do $$
declare
  partition regclass;
begin
  for partition in select inhrelid from pg_inherits where inhparent = 'webhook_delivery'::regclass loop
    execute format('alter table %s set (fillfactor = 50)', partition);
  end loop;
end $$;
