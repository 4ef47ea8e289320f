-- A token that does not cover the body does not tell one webhook from another: sources that relied on
-- that take what they took before.

-- An ordinary owner is behind the fence too.
alter table inbound_source no force row level security;
update inbound_source set accepts_undedupable = true, revision = revision + 1
where scheme = 'JWT' and not accepts_undedupable
  and not settings ?| array['eventIdHeader', 'eventIdPointer', 'bodyDigestClaim'];
alter table inbound_source force row level security;
