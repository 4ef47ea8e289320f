-- To which hosts anything goes out for a tenant.

create table egress_policy (
  tenant_id text collate "C" not null,
  allowed_hosts text[],
  revision integer not null,
  updated_at timestamptz not null,
  constraint egress_policy_pkey primary key (tenant_id),
  constraint egress_policy_hosts_check check (cardinality(allowed_hosts) <= 100)
);
comment on table egress_policy is
  'To which hosts requests go out for a tenant; one without a row has no list of its own.';
comment on column egress_policy.tenant_id is 'Whose policy.';
comment on column egress_policy.allowed_hosts is
  'Host names, or *.suffix for all names below it; null is any public host, and none is none.';
comment on column egress_policy.revision is 'Counts its changes; 1 is the usual, without a row.';
comment on column egress_policy.updated_at is 'When it last changed.';
call ubos_fence('egress_policy');
grant select, insert, update on egress_policy to ubos_api;
grant select on egress_policy to ubos_worker;
