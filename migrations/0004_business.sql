-- The sample business: clients, what is proposed to them, and what they pay.

create table client (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  external_id text collate "C",
  name text not null,
  email text,
  phone text,
  tax_number text,
  address jsonb,
  currency text not null,
  metadata jsonb not null,
  revision integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  constraint client_pkey primary key (tenant_id, id)
);
create unique index client_external_id_key on client (tenant_id, external_id)
  where deleted_at is null;
create index client_email_idx on client (tenant_id, email, id) where deleted_at is null;
create index client_deleted_at_idx on client (deleted_at) where deleted_at is not null;
comment on table client is 'Whom a tenant does business with.';
comment on column client.tenant_id is 'The tenant that it belongs to.';
comment on column client.id is 'cli_…';
comment on column client.external_id is 'What the tenant''s own system calls it; unique while it lives.';
comment on column client.name is 'Its name.';
comment on column client.email is 'Where to write to.';
comment on column client.phone is 'Where to call.';
comment on column client.tax_number is 'Its tax or VAT number.';
comment on column client.address is 'Postal address: line1, line2, city, region, postalCode, country.';
comment on column client.currency is 'The currency of its business, ISO 4217.';
comment on column client.metadata is 'Words of the tenant''s own, text to text.';
comment on column client.revision is 'Counts its changes, from 1.';
comment on column client.created_at is 'When it was made.';
comment on column client.updated_at is 'When it last changed.';
comment on column client.deleted_at is 'Since when it is gone; the row is purged after 30 days.';
call ubos_fence('client');
grant select, insert, update on client to ubos_api;
grant select, delete on client to ubos_worker;

create table proposal (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  client_id text collate "C" not null,
  title text not null,
  lines jsonb not null,
  currency text not null,
  subtotal numeric(19, 4) not null,
  tax numeric(19, 4) not null,
  total numeric(19, 4) not null,
  valid_until date,
  status text not null,
  sent_at timestamptz,
  decided_at timestamptz,
  decline_reason text,
  revision integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  constraint proposal_pkey primary key (tenant_id, id),
  constraint proposal_client_fkey foreign key (tenant_id, client_id) references client (tenant_id, id)
);
create index proposal_client_idx on proposal (tenant_id, client_id, id) where deleted_at is null;
create index proposal_status_idx on proposal (tenant_id, status, id) where deleted_at is null;
create index proposal_deleted_at_idx on proposal (deleted_at) where deleted_at is not null;
comment on table proposal is 'An offer to a client, with lines that have prices.';
comment on column proposal.tenant_id is 'The tenant that it belongs to.';
comment on column proposal.id is 'pro_…';
comment on column proposal.client_id is 'To whom.';
comment on column proposal.title is 'What it is about.';
comment on column proposal.lines is 'Its lines, each with description, quantity, unit amount, tax rate, amount.';
comment on column proposal.currency is 'ISO 4217.';
comment on column proposal.subtotal is 'Sum of the rounded lines, before tax.';
comment on column proposal.tax is 'Sum of the rounded taxes.';
comment on column proposal.total is 'Subtotal and tax.';
comment on column proposal.valid_until is 'The last day on which it can be accepted; null is open.';
comment on column proposal.status is 'DRAFT, SENT, ACCEPTED, DECLINED or EXPIRED.';
comment on column proposal.sent_at is 'When it was submitted to the client.';
comment on column proposal.decided_at is 'When the client accepted or declined.';
comment on column proposal.decline_reason is 'Why, in the client''s words.';
comment on column proposal.revision is 'Counts its changes, from 1.';
comment on column proposal.created_at is 'When it was made.';
comment on column proposal.updated_at is 'When it last changed.';
comment on column proposal.deleted_at is 'Since when it is gone; the row is purged after 30 days.';
call ubos_fence('proposal');
grant select, insert, update on proposal to ubos_api;
grant select, delete on proposal to ubos_worker;

create table payment (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  client_id text collate "C",
  amount numeric(19, 4) not null,
  currency text not null,
  method text,
  received_at timestamptz not null,
  refunded_amount numeric(19, 4) not null,
  status text not null,
  revision integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint payment_pkey primary key (tenant_id, id),
  constraint payment_client_fkey foreign key (tenant_id, client_id) references client (tenant_id, id)
);
create index payment_client_idx on payment (tenant_id, client_id, id);
create index payment_status_idx on payment (tenant_id, status, id);
comment on table payment is 'Money received.';
comment on column payment.tenant_id is 'The tenant that received it.';
comment on column payment.id is 'pay_…';
comment on column payment.client_id is 'From whom, when it is known.';
comment on column payment.amount is 'How much.';
comment on column payment.currency is 'ISO 4217.';
comment on column payment.method is 'How it came.';
comment on column payment.received_at is 'When it came.';
comment on column payment.refunded_amount is 'How much of it went back.';
comment on column payment.status is 'RECEIVED, PARTIALLY_REFUNDED or REFUNDED.';
comment on column payment.revision is 'Counts its changes, from 1.';
comment on column payment.created_at is 'When it was recorded.';
comment on column payment.updated_at is 'When it last changed.';
call ubos_fence('payment');
grant select, insert, update on payment to ubos_api;
grant select on payment to ubos_worker;

create table refund (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  payment_id text collate "C" not null,
  amount numeric(19, 4) not null,
  currency text not null,
  reason text,
  created_at timestamptz not null,
  constraint refund_pkey primary key (tenant_id, id),
  constraint refund_payment_fkey foreign key (tenant_id, payment_id)
    references payment (tenant_id, id)
);
create index refund_payment_idx on refund (tenant_id, payment_id, id);
comment on table refund is 'Money that went back.';
comment on column refund.tenant_id is 'The tenant that gave it back.';
comment on column refund.id is 'ref_…';
comment on column refund.payment_id is 'The payment that it is taken from.';
comment on column refund.amount is 'How much.';
comment on column refund.currency is 'That of the payment.';
comment on column refund.reason is 'Why.';
comment on column refund.created_at is 'When.';
call ubos_fence('refund');
grant select, insert on refund to ubos_api;
grant select on refund to ubos_worker;
