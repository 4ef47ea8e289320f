-- The place of an event says for whom it is, so that what was meant for one endpoint is told to no
-- other when the log is gone through again.

alter table event_position add column endpoint_id text collate "C";
comment on column event_position.endpoint_id is 'The only endpoint that it is for; null is all.';

update event_position as place set endpoint_id = (
  select delivery.endpoint_id from webhook_delivery as delivery
  where delivery.tenant_id = place.tenant_id and delivery.event_id = place.event_id
  order by delivery.id limit 1)
where place.type = 'webhook_endpoint.tested';

-- What was heard as webhook-id leads back to the deliveries, also where it was no event's.

alter table attempt add column webhook_id text collate "C";
comment on column attempt.webhook_id is
  'What was sent as webhook-id; null where it is the id of the event.';
create index attempt_webhook_id_idx on attempt (tenant_id, webhook_id)
  where webhook_id is not null;
