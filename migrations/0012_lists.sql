-- What lists are cut by is indexed.

create index event_position_type_idx on event_position (tenant_id, type, event_id);
grant select on event_pending to ubos_api;
