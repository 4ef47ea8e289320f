-- Receipts are found by what their senders call them. And a token that does not cover the body does not
-- tell one webhook from another: sources that relied on that take what they took before.

create index inbound_receipt_event_idx on inbound_receipt (tenant_id, provider_event_id)
  where provider_event_id is not null;
create index inbound_receipt_type_idx on inbound_receipt (tenant_id, event_type, id)
  where event_type is not null;

-- An ordinary owner is behind the fence too.
alter table inbound_source no force row level security;
update inbound_source set accepts_undedupable = true, revision = revision + 1
where scheme = 'JWT' and not accepts_undedupable
  and not settings ?| array['eventIdHeader', 'eventIdPointer', 'bodyDigestClaim'];
alter table inbound_source force row level security;
