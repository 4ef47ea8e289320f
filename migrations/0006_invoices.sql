-- Invoices: what clients are asked to pay, the numbers given to them, and which payment is for which.

create table invoice (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  client_id text collate "C" not null,
  proposal_id text collate "C",
  number text collate "C",
  status text not null,
  lines jsonb not null,
  currency text not null,
  subtotal numeric(19, 4) not null,
  tax numeric(19, 4) not null,
  total numeric(19, 4) not null,
  amount_paid numeric(19, 4) not null,
  issue_date date,
  due_date date not null,
  issued_at timestamptz,
  paid_at timestamptz,
  voided_at timestamptz,
  revision integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint invoice_pkey primary key (tenant_id, id),
  constraint invoice_number_key unique (tenant_id, number),
  constraint invoice_client_fkey foreign key (tenant_id, client_id) references client (tenant_id, id),
  constraint invoice_proposal_fkey foreign key (tenant_id, proposal_id)
    references proposal (tenant_id, id)
);
create index invoice_client_idx on invoice (tenant_id, client_id, id);
create index invoice_proposal_idx on invoice (tenant_id, proposal_id, id)
  where proposal_id is not null;
create index invoice_status_idx on invoice (tenant_id, status, id);
create index invoice_due_idx on invoice (tenant_id, due_date, id);
-- What is overdue is asked for all day, and is a handful among all that was ever paid.
create index invoice_open_due_idx on invoice (tenant_id, due_date, id) where status = 'OPEN';
comment on table invoice is 'What a client is asked to pay, with lines that have prices. Never deleted.';
comment on column invoice.tenant_id is 'The tenant that it belongs to.';
comment on column invoice.id is 'inv_…';
comment on column invoice.client_id is 'Who is to pay.';
comment on column invoice.proposal_id is 'The proposal that it came from, if any.';
comment on column invoice.number is 'INV-000001 and so on, without gaps; null until it is issued.';
comment on column invoice.status is 'DRAFT, OPEN, PAID or VOIDED.';
comment on column invoice.lines is 'Its lines, each with description, quantity, unit amount, tax rate, amount.';
comment on column invoice.currency is 'ISO 4217.';
comment on column invoice.subtotal is 'Sum of the rounded lines, before tax.';
comment on column invoice.tax is 'Sum of the rounded taxes.';
comment on column invoice.total is 'Subtotal and tax.';
comment on column invoice.amount_paid is 'What its payments brought, less what was refunded of them.';
comment on column invoice.issue_date is 'The day on the invoice; null until it is issued, unless the draft says it.';
comment on column invoice.due_date is 'The last day to pay; infinity until it is issued, unless the draft says it.';
comment on column invoice.issued_at is 'When it was issued.';
comment on column invoice.paid_at is 'Since when it is paid.';
comment on column invoice.voided_at is 'When it was voided.';
comment on column invoice.revision is 'Counts its changes, from 1.';
comment on column invoice.created_at is 'When it was made.';
comment on column invoice.updated_at is 'When it last changed.';
call ubos_fence('invoice');
grant select, insert, update on invoice to ubos_api;
grant select on invoice to ubos_worker;

create table invoice_counter (
  tenant_id text collate "C" not null,
  issued bigint not null,
  constraint invoice_counter_pkey primary key (tenant_id)
);
comment on table invoice_counter is
  'How many invoices a tenant has issued. Its row is held until the issuance is committed, so that '
  'one that fails leaves no gap.';
comment on column invoice_counter.tenant_id is 'Whose invoices.';
comment on column invoice_counter.issued is 'How many, which is the number of the last one.';
call ubos_fence('invoice_counter');
grant select, insert, update on invoice_counter to ubos_api;

alter table payment
  add column invoice_id text collate "C",
  add constraint payment_invoice_fkey foreign key (tenant_id, invoice_id)
    references invoice (tenant_id, id);
create index payment_invoice_idx on payment (tenant_id, invoice_id, id)
  where invoice_id is not null;
comment on column payment.invoice_id is 'The invoice that it is for, if any.';
