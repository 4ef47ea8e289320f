-- How much a source may send: what it has sent is counted where other quotas are (quota_spent).

alter table inbound_source add column throttle_per_second integer;
comment on column inbound_source.throttle_per_second is
  'How many verified webhooks it may send in a second; null is as many as we can take.';
