import type { Chance } from './random.ts'

/**
 * A *deed* is one write that a caller wants done, once: it is asked for under one idempotency key,
 * as often as it takes. Its correlation id is that key, so that what it left can be found in the log.
 */
export interface Deed {
  readonly key: string
  /** The key, unless it is about what another deed began. */
  readonly correlationId: string
  readonly tenantId: string
  /** Of a job that is called off, known in the end only. */
  operation: Operation
  readonly method: 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body: string | undefined
  /** Asked for twice at once, by mistake, as a caller with an impatient user does. */
  readonly isTwice: boolean
  /** The caller goes away at the first sign of trouble, and never learns what came of it. */
  readonly isAbandoned: boolean
  /** What is done may be at odds with it: then it is refused with 409, and has left nothing. */
  readonly mayBeRefused: boolean
  state: 'ASKED' | 'ACKNOWLEDGED' | 'ABANDONED' | 'REFUSED'
  /** What was answered, to whoever asked first. */
  answer: Answer | undefined
  /** How often an answer differed from the first: never, if done once. */
  contradictions: number
}

export interface Answer {
  status: number
  body: string
}

/** What a deed leaves behind when it is done: events of these types. */
export const traces = {
  createClient: ['client.created'],
  updateClient: ['client.updated'],
  deleteClient: ['client.deleted'],
  createProposal: ['proposal.created'],
  submitProposal: ['proposal.sent'],
  acceptProposal: ['proposal.accepted'],
  createInvoice: ['invoice.created'],
  issueInvoice: ['invoice.issued'],
  createPayment: ['payment.received'],
  payInvoice: ['payment.received', 'invoice.paid'],
  // Told of when it is done, behind the API.
  createJob: ['job.succeeded'],
  openEndpoint: ['webhook_endpoint.created'],
  changeEndpoint: ['webhook_endpoint.updated'],
  disableEndpoint: ['webhook_endpoint.disabled', 'webhook_endpoint.updated'],
  rotateSecret: ['webhook_endpoint.updated'],
  revokeSecrets: ['webhook_endpoint.updated'],
  replayWebhooks: ['job.succeeded'],
  replayInPart: ['job.cancelled'],
  redeliver: [],
} as const satisfies Record<string, readonly string[]>

export type Operation = keyof typeof traces

/** The audit entries of a deed where they are not named as its events. */
const entries: Partial<Record<Operation, readonly string[]>> = {
  createJob: ['job.created'],
  disableEndpoint: ['webhook_endpoint.updated'],
  rotateSecret: ['webhook_endpoint.secret_rotated'],
  revokeSecrets: ['webhook_endpoint.secrets_revoked'],
  replayWebhooks: ['webhook_replay.created'],
  replayInPart: ['webhook_replay.created'],
  redeliver: ['webhook_delivery.redelivered'],
}

export function entriesOf(operation: Operation): readonly string[] {
  return entries[operation] ?? traces[operation]
}

/** The tables in which deeds make rows, and the events of which one tells of each. */
export const makers = {
  client: { operations: ['createClient'], events: ['client.created'] },
  proposal: { operations: ['createProposal'], events: ['proposal.created'] },
  invoice: { operations: ['createInvoice'], events: ['invoice.created'] },
  payment: { operations: ['createPayment', 'payInvoice'], events: ['payment.received'] },
  webhook_endpoint: { operations: ['openEndpoint'], events: ['webhook_endpoint.created'] },
  job: {
    operations: ['createJob', 'replayWebhooks', 'replayInPart'],
    events: ['job.succeeded', 'job.cancelled'],
  },
} as const satisfies Record<string, { operations: readonly Operation[]; events: readonly string[] }>

/** How callers behave beside asking again: as some do. */
export interface Habits {
  /** The share of deeds that are asked for twice at once. */
  twice: number
  /** The share of deeds that are given up at the first sign of trouble. */
  abandoned: number
  /** The share of deeds that ask for a job. */
  jobs: number
}

/** What a caller has made and may work on: nobody else touches it. */
export interface Desk {
  readonly tenantId: string
  /** Begins every key of this caller. */
  readonly name: string
  readonly chance: Chance
  readonly habits: Habits
  count: number
  clients: string[]
  drafts: string[]
  offers: string[]
  accepted: string[]
  invoices: { id: string; total: number }[]
  open: { id: string; total: number }[]
}

export function newDesk(place: Pick<Desk, 'tenantId' | 'name' | 'chance' | 'habits'>): Desk {
  return {
    ...{ ...place, count: 0 },
    ...{ clients: [], drafts: [], offers: [], accepted: [], invoices: [], open: [] },
  }
}

/** So many of the first clients are kept: proposals and invoices are to them. */
const keptClients = 3

/** What the caller does next: mostly new clients and payments, and what follows from them. */
export function nextDeed(desk: Desk): Deed {
  const { chance, clients, habits } = desk
  if (chance.is(habits.jobs)) return newJob(desk)
  const roll = chance.next()
  if (clients.length < keptClients || roll < 0.3) return newClient(desk)
  if (roll < 0.45) return changeClient(desk)
  if (roll < 0.5 && clients.length > keptClients) return deleteClient(desk)
  if (roll < 0.75) return newPayment(desk)
  return furtherBusiness(desk)
}

/** The longest way through the house: proposal, acceptance, invoice, issuance, payment. */
function furtherBusiness(desk: Desk): Deed {
  const due = desk.open.pop()
  if (due !== undefined) {
    const body = { amount: due.total, currency: 'EUR', invoiceId: due.id }
    return deed(desk, 'payInvoice', 'POST', '/payments', body)
  }
  const draft = desk.invoices.pop()
  if (draft !== undefined) {
    const issued = deed(desk, 'issueInvoice', 'POST', `/invoices/${draft.id}/issuance`)
    return issued
  }
  const accepted = desk.accepted.pop()
  if (accepted !== undefined) {
    return deed(desk, 'createInvoice', 'POST', '/invoices', { proposalId: accepted })
  }
  const offer = desk.offers.pop()
  if (offer !== undefined) {
    return deed(desk, 'acceptProposal', 'POST', `/proposals/${offer}/acceptance`)
  }
  const proposal = desk.drafts.pop()
  if (proposal !== undefined) {
    return deed(desk, 'submitProposal', 'POST', `/proposals/${proposal}/submission`)
  }
  const clientId = desk.clients[desk.chance.below(keptClients)]
  return deed(desk, 'createProposal', 'POST', '/proposals', {
    clientId,
    title: `Proposal ${desk.count}`,
    currency: 'EUR',
    lines: [{ description: 'Work', quantity: 1 + desk.chance.below(9), unitAmount: 12.5 }],
  })
}

function newClient(desk: Desk): Deed {
  const name = `${desk.name} client ${desk.count}`
  return deed(desk, 'createClient', 'POST', '/clients', { name, currency: 'EUR' })
}

function changeClient(desk: Desk): Deed {
  const id = desk.chance.pick(desk.clients)
  const body = { name: `${desk.name} renamed ${desk.count}` }
  return deed(desk, 'updateClient', 'PATCH', `/clients/${id}`, body)
}

function deleteClient(desk: Desk): Deed {
  const at = keptClients + desk.chance.below(desk.clients.length - keptClients)
  const [id] = desk.clients.splice(at, 1)
  return deed(desk, 'deleteClient', 'DELETE', `/clients/${id}`)
}

function newJob(desk: Desk): Deed {
  const payload = { from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' }
  return deed(desk, 'createJob', 'POST', '/jobs', { task: 'USAGE_REPORT', payload })
}

function newPayment(desk: Desk): Deed {
  const amount = (1 + desk.chance.below(10_000)) / 100
  return deed(desk, 'createPayment', 'POST', '/payments', { amount, currency: 'EUR' })
}

function deed(
  desk: Desk,
  operation: Operation,
  method: Deed['method'],
  path: string,
  body?: object,
): Deed {
  desk.count += 1
  const { chance, tenantId, habits } = desk
  const asked = { key: `${desk.name}-${desk.count}`, tenantId, operation, method, path, body }
  return newDeed(asked, {
    isTwice: chance.is(habits.twice),
    // What others rest on is not abandoned.
    isAbandoned: desk.clients.length >= keptClients && chance.is(habits.abandoned),
  })
}

export type Asked = Pick<Deed, 'key' | 'tenantId' | 'operation' | 'method' | 'path'> & {
  body: object | undefined
}

/** A deed as it is before anybody has asked for it; done once, patiently, unless told otherwise. */
export function newDeed({ body, ...asked }: Asked, manner: Partial<Deed> = {}): Deed {
  return {
    ...asked,
    correlationId: asked.key,
    body: body === undefined ? undefined : JSON.stringify(body),
    ...{ isTwice: false, isAbandoned: false, mayBeRefused: false },
    ...{ state: 'ASKED', answer: undefined, contradictions: 0 },
    ...manner,
  }
}

/** Puts on the desk what an acknowledged deed has made. */
export function takeIn(desk: Desk, { operation, answer }: Deed): void {
  if (answer === undefined || answer.body === '') return
  const { id, totals } = JSON.parse(answer.body) as { id: string; totals?: { total: number } }
  const total = totals?.total ?? 0
  if (operation === 'createClient') desk.clients.push(id)
  if (operation === 'createProposal') desk.drafts.push(id)
  if (operation === 'submitProposal') desk.offers.push(id)
  if (operation === 'acceptProposal') desk.accepted.push(id)
  if (operation === 'createInvoice') desk.invoices.push({ id, total })
  if (operation === 'issueInvoice') desk.open.push({ id, total })
}
