-- Types of event of a tenant's own can be removed again.

grant delete on event_type to ubos_api;
