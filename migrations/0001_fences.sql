-- The roles that processes run as, the fence that keeps tenants apart, and the words that raise.
-- Roles themselves are made by migrate before this file runs: ubos_api (requests and tasks, always
-- inside one tenant) and ubos_worker (sequencer, dispatcher and sweepers, which cross tenants).

grant usage on schema public to ubos_api, ubos_worker;

create function ubos_tenant() returns text
  language sql stable parallel safe
  as $$
    select left(
      current_setting('ubos.tenant_id'),
      1000 / length(current_setting('ubos.tenant_id'))
    )
  $$;
comment on function ubos_tenant() is
  'The tenant of the running transaction. A missing setting raises, also on a used connection, '
  'where it is the empty string: the division by its length fails.';

create function ubos_raise(code text) returns integer
  language plpgsql
  as $$ begin raise exception using errcode = 'UB001', message = code; end $$;
comment on function ubos_raise(text) is
  'Ends the transaction with a problem code of the contract as its message.';

create procedure ubos_fence(fenced regclass)
  language plpgsql
  as $$
  begin
    execute format('alter table %s enable row level security', fenced);
    execute format('alter table %s force row level security', fenced);
    execute format(
      'create policy tenant_fence on %s for all to ubos_api '
      'using (tenant_id = ubos_tenant()) with check (tenant_id = ubos_tenant())', fenced);
    execute format(
      'create policy worker_crosses on %s for all to ubos_worker using (true) with check (true)',
      fenced);
  end $$;
comment on procedure ubos_fence(regclass) is
  'Puts a table behind the fence: the API and its tasks see one tenant, the worker all.';
revoke execute on procedure ubos_fence(regclass) from public;

create function ubos_make_partitions(first_day date, days integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
  declare
    parent regclass;
    day date;
    child text;
    made integer := 0;
  begin
    for parent in
      select partrelid from pg_partitioned_table order by partrelid
    loop
      for day in select generate_series(first_day, first_day + days - 1, interval '1 day') loop
        child := parent::text || '_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('public.' || child) is not null;
        perform pg_advisory_xact_lock(hashtextextended('ubos_make_partitions', 0));
        continue when to_regclass('public.' || child) is not null;
        execute format('create table public.%I (like %s including all)', child, parent);
        execute format(
          'alter table %s attach partition public.%I for values from (%L) to (%L)',
          parent, child, day, day + 1);
        made := made + 1;
      end loop;
    end loop;
    return made;
  end $$;
comment on function ubos_make_partitions(date, integer) is
  'Makes the missing daily partitions of every partitioned table; answers how many. Attached '
  'rather than created in place, so that writers of the parent are not locked out.';
revoke execute on function ubos_make_partitions(date, integer) from public;
grant execute on function ubos_make_partitions(date, integer) to ubos_worker;

create function ubos_partitions_ahead(today date) returns integer
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
  as $$
    select coalesce(min(ahead), 0)::integer from (
      select count(child.oid) as ahead
      from pg_partitioned_table as partitioned
      join pg_class as parent on parent.oid = partitioned.partrelid
      left join generate_series(today + 1, today + 31, interval '1 day') as day on true
      left join pg_class as child
        on child.relname = parent.relname || '_' || to_char(day, 'YYYYMMDD')
        and child.relnamespace = parent.relnamespace
      group by partitioned.partrelid
    ) as per_table
  $$;
comment on function ubos_partitions_ahead(date) is
  'For how many days after today partitions exist, in the table that is worst off.';
grant execute on function ubos_partitions_ahead(date) to ubos_api, ubos_worker;
