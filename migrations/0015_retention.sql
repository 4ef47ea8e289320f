-- How long things are kept: each tenant's policy, legal holds, days that are dropped as a whole, and the
-- marks of what was told once (proposals that ran out, keys that soon will).

create table retention_policy (
  tenant_id text collate "C" not null,
  event_payload_days integer not null,
  delivery_payload_days integer not null,
  jobs_days integer not null,
  revision integer not null,
  updated_at timestamptz not null,
  events_erased_to date not null default '-infinity',
  answers_erased_to date not null default '-infinity',
  constraint retention_policy_pkey primary key (tenant_id),
  constraint retention_policy_event_days_check check (event_payload_days between 1 and 90),
  constraint retention_policy_delivery_days_check check (delivery_payload_days between 1 and 30),
  constraint retention_policy_jobs_days_check check (jobs_days between 1 and 90)
);
comment on table retention_policy is
  'For how long a tenant''s payloads are kept; one without a row keeps them as long as the rows.';
comment on column retention_policy.tenant_id is 'Whose policy.';
comment on column retention_policy.event_payload_days is 'After how many days events lose their body.';
comment on column retention_policy.delivery_payload_days is
  'After how many days attempts lose what the endpoint answered.';
comment on column retention_policy.jobs_days is 'After how many days finished jobs are deleted.';
comment on column retention_policy.revision is 'Counts its changes; 1 is the usual, without a row.';
comment on column retention_policy.updated_at is 'When it last changed.';
comment on column retention_policy.events_erased_to is
  'No event of this day or before has a body any more, so that nobody looks there again.';
comment on column retention_policy.answers_erased_to is 'Likewise of the answers in attempts.';
call ubos_fence('retention_policy');
grant select, insert, update on retention_policy to ubos_api;
grant select, update (events_erased_to, answers_erased_to) on retention_policy to ubos_worker;

create table legal_hold (
  tenant_id text collate "C" not null,
  reason text,
  placed_at timestamptz,
  revision integer not null,
  constraint legal_hold_pkey primary key (tenant_id),
  constraint legal_hold_placed_check check ((reason is null) = (placed_at is null))
);
comment on table legal_hold is 'Tenants of whom nothing may be erased, dropped or purged.';
comment on column legal_hold.tenant_id is 'Whose rows are kept.';
comment on column legal_hold.reason is 'Why; null once the hold is lifted.';
comment on column legal_hold.placed_at is 'Since when; null once the hold is lifted.';
comment on column legal_hold.revision is 'Counts its changes; 1 is no hold, without a row.';
call ubos_fence('legal_hold');
grant select, insert, update on legal_hold to ubos_api;
grant select on legal_hold to ubos_worker;

-- Payloads that can be erased. A partition may have the constraint in its own right.
alter table event alter column body drop not null;
do $$
  declare child regclass;
  begin
    for child in select inhrelid from pg_inherits where inhparent = 'event'::regclass loop
      execute format('alter table %s alter column body drop not null', child);
    end loop;
  end $$;
comment on column event.body is
  'The envelope as it is sent: these bytes are what is signed. Null once it was erased.';
comment on column attempt.response_body is
  'The first 16 KiB answered; null where nothing was, and once it was erased.';
grant update (body) on event to ubos_worker;
grant update (response_body) on attempt to ubos_worker;
grant delete on event_position to ubos_worker;

create function ubos_kept_days(parent text) returns integer
  language sql immutable parallel safe
  as $$
    select case parent
      when 'event' then 90
      when 'webhook_delivery' then 30
      when 'attempt' then 30
      when 'request_log' then 30
      when 'audit' then 400
    end
  $$;
comment on function ubos_kept_days(text) is
  'For how many days a partitioned table keeps its rows; null for one that keeps them for ever.';

create function ubos_old_partition(parent text, day date) returns text
  language plpgsql
  as $$
  declare
    child text := parent || '_' || to_char(day, 'YYYYMMDD');
  begin
    if coalesce(day >= (clock_timestamp() at time zone 'UTC')::date - ubos_kept_days(parent), true) then
      raise exception '% of % is to be kept', parent, day using errcode = '42501';
    end if;
    if not exists (select from pg_inherits
        where inhparent = to_regclass('public.' || parent)
          and inhrelid = to_regclass('public.' || child)) then
      return null;
    end if;
    return child;
  end $$;
comment on function ubos_old_partition(text, date) is
  'The partition of a day that is older than its table keeps rows, by the server''s own clock: a '
  'younger one is refused, whatever the time is to whoever asks. Null where there is none.';

create function ubos_drop_partition(parent text, day date) returns double precision
  language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp set lock_timeout = '50ms'
  as $$
  declare
    child text := ubos_old_partition(parent, day);
    locked_at timestamptz;
  begin
    if child is null then return null; end if;
    execute format('lock table only public.%I in access exclusive mode', parent);
    locked_at := clock_timestamp();
    execute format('drop table public.%I', child);
    return extract(epoch from clock_timestamp() - locked_at) * 1000;
  end $$;
comment on function ubos_drop_partition(text, date) is
  'Drops an old day, and answers for how many ms the table was locked. While it waits for the lock '
  'others wait behind it, so it gives up after 50 ms (55P03); the files go after the commit.';
revoke execute on function ubos_drop_partition(text, date) from public;
grant execute on function ubos_drop_partition(text, date) to ubos_worker;

create function ubos_clear_partition(parent text, day date, held text[], rows_max integer)
  returns integer
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
  declare
    child text := ubos_old_partition(parent, day);
    tenant text := '';
    gone integer;
    cleared integer := 0;
  begin
    while child is not null and cleared < rows_max loop
      execute format('select min(tenant_id) from public.%I where tenant_id > $1', child)
        into tenant using tenant;
      exit when tenant is null;
      continue when tenant = any(held);
      execute format('delete from public.%I where ctid in (
          select ctid from public.%1$I where tenant_id = $1 limit $2)', child)
        using tenant, rows_max - cleared;
      get diagnostics gone = row_count;
      cleared := cleared + gone;
    end loop;
    return cleared;
  end $$;
comment on function ubos_clear_partition(text, date, text[], integer) is
  'Deletes from an old day, which holds the rows of tenants that must be kept, so many rows of the '
  'others at most, and answers how many.';
revoke execute on function ubos_clear_partition(text, date, text[], integer) from public;
grant execute on function ubos_clear_partition(text, date, text[], integer) to ubos_worker;

-- Also of deleted proposals it is asked to which client they are.
drop index proposal_client_idx;
create index proposal_client_idx on proposal (tenant_id, client_id, id);
-- Deleted clients and proposals: gone after 30 days, or emptied where something still refers to them.
alter table client add column purged_at timestamptz;
comment on column client.purged_at is
  'When its words were erased; the row stays while proposals, invoices or payments refer to it.';
comment on column client.deleted_at is
  'Since when it is gone; after 30 days the row is purged, or emptied where something refers to it.';
alter table proposal add column purged_at timestamptz;
comment on column proposal.purged_at is
  'When its words were erased; the row stays while invoices refer to it.';
comment on column proposal.deleted_at is
  'Since when it is gone; after 30 days the row is purged, or emptied where something refers to it.';
grant update (external_id, name, email, phone, tax_number, address, metadata, purged_at)
  on client to ubos_worker;
grant update (title, lines, decline_reason, purged_at) on proposal to ubos_worker;

alter table proposal add column expired_at timestamptz;
comment on column proposal.expired_at is
  'When it was told that its last day had passed without an answer; null before. Its status stays '
  'SENT: whether an offer has run out is a question of the day.';
create index proposal_expiring_idx on proposal (valid_until)
  where status = 'SENT' and expired_at is null and deleted_at is null;

create table api_key_expiry_warning (
  tenant_id text collate "C" not null,
  api_key_id text collate "C" not null,
  expires_at timestamptz not null,
  days_before integer not null,
  warned_at timestamptz not null,
  constraint api_key_expiry_warning_pkey primary key (tenant_id, api_key_id, expires_at, days_before)
);
comment on table api_key_expiry_warning is
  'Which warnings of the end of a key were given, so that each is given once for each end.';
comment on column api_key_expiry_warning.tenant_id is 'Whose key.';
comment on column api_key_expiry_warning.api_key_id is 'Which key.';
comment on column api_key_expiry_warning.expires_at is 'The end that was warned of.';
comment on column api_key_expiry_warning.days_before is 'How many days before it, at most.';
comment on column api_key_expiry_warning.warned_at is 'When.';
call ubos_fence('api_key_expiry_warning');
grant select, insert on api_key_expiry_warning to ubos_api;
grant select, delete on api_key_expiry_warning to ubos_worker;
create index api_key_expiring_idx on api_key (expires_at)
  where expires_at is not null and revoked_at is null;
