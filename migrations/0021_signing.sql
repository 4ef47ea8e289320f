-- How webhooks are signed: with several secrets while they change.

-- The newest secret stays where it was. Endpoints that never changed theirs need nothing here: their
-- secret is as old as they are, and its id is made of theirs.
alter table webhook_endpoint
  add column secret_id text collate "C",
  add column secret_created_at timestamptz,
  add column former_secrets jsonb;
comment on column webhook_endpoint.secret is 'The newest signing secret, sealed.';
comment on column webhook_endpoint.secret_id is
  'whs_… of the newest secret; null means that the endpoint has its first.';
comment on column webhook_endpoint.secret_created_at is
  'When the newest secret was made; null means together with the endpoint.';
comment on column webhook_endpoint.former_secrets is
  'The secrets before the newest, the oldest first: id, sealed (base64), createdAt, expiresAt. Each '
  'signs until it expires. Null means that there are none.';
