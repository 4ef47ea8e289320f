-- Types of event of a tenant's own can be removed again, and consumers can be changed.

grant delete on event_type to ubos_api;

comment on column event_type.version is 'Counts the changes of what its schema means, from 1.';
comment on column event_consumer.updated_at is
  'When a batch was last handed out or committed, or the consumer was changed.';
