-- What an endpoint is told in particular: beside the types of its events, what they say.

alter table webhook_endpoint add column filter jsonb not null default '[]';
alter table webhook_endpoint alter column filter drop default;
comment on column webhook_endpoint.filter is
  'Rules about events, all of which must hold, as the contract has them; empty lets all through.';
comment on column webhook_endpoint.event_types is
  'The types that it is told about; noun.* is all that begin so, * is all.';
