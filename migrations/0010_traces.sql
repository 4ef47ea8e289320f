-- The trace that a call is part of travels with its events to whoever is told of them.

alter table event add column traceparent text;
comment on column event.traceparent is 'W3C trace of the call that caused it; null when it had none.';
