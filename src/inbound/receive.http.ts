import { Counter } from 'prom-client'
import { matcherOf } from '#api-keys/allow-list.ts'
import type { Context } from '#context.ts'
import { type Tx, transact } from '#db/transact.ts'
import { allowsUrl } from '#egress/hosts.ts'
import { findAllowedHosts } from '#egress/policy.sql.ts'
import { publish } from '#events/publish.ts'
import type { ProblemCode } from '#generated/types.ts'
import { quotaExceeded } from '#http/admit.ts'
import {
  type Cause,
  type OpenCall,
  type RawOperation,
  type RawReply,
  type RawRequest,
  type Spend,
  systemCause,
} from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { gather } from '#jobs/gather.ts'
import { perContext } from '#per-context.ts'
import { confirmation } from './confirmation.ts'
import { createFetchText } from './public-keys.ts'
import { insertDedupe, insertReceipt, isSecondCopy } from './receipt.sql.ts'
import { dedupeKeyOf, forwarding, keptHeaders, newReceipt, toReceipt } from './receipt.ts'
import type { Accepted, FetchText, RefusalReason, Scheme, Verdict } from './scheme.ts'
import { schemes } from './schemes.ts'
import { findSource, findTenantOf } from './source.sql.ts'
import { type Source, secretsOf } from './source.ts'

const received = new Counter({
  name: 'ubos_inbound_webhooks_total',
  help: 'Webhooks that were sent to us, by scheme and by what became of them.',
  labelNames: ['scheme', 'outcome'],
})

/** What was fetched is kept for as long as the process lives. */
const fetchTextOf = perContext(createFetchText)

/** The same for a tenant, to the hosts that its policy allows. */
function fetchTextFor(ctx: Context, tenantId: TenantId): FetchText {
  const fetchText = fetchTextOf(ctx)
  return async (url, wish) => {
    const allowed = await findAllowedHosts(ctx.db.readers.of(tenantId), tenantId)
    if (!allowsUrl(allowed, url)) throw new Error('The egress policy does not allow the host.')
    return await fetchText(url, wish)
  }
}

/** A webhook at the door, and whose it is. */
interface Arrival {
  ctx: Context
  tenantId: TenantId
  source: Source
  scheme: Scheme
  secrets: readonly string[]
  call: OpenCall
  request: RawRequest
  spend: Spend
}

/**
 * What anybody may send is judged here, dearest last: is there such a source, from there, so much, and
 * is it really they. Only then is it asked whether it was here before: what is forged never keeps out
 * what is real.
 */
export const submitWebhook: RawOperation = async (ctx, call, request, spend) => {
  const arrival = await arrive(ctx, call, request, spend)
  const { scheme, secrets, source } = arrival
  const verdict = await scheme.verify(request, {
    now: call.now,
    secrets,
    settings: source.settings,
    fetchText: fetchTextFor(ctx, arrival.tenantId),
  })
  switch (verdict.kind) {
    case 'accepted':
      return (await tooMuch(arrival, 'inbound')) ?? (await take(arrival, verdict))
    case 'refused':
      return refuse(arrival, verdict.reason)
    case 'handshake':
      return (await tooMuch(arrival, 'handshake')) ?? (await greet(arrival, verdict))
    case 'unavailable':
      count(source, 'unavailable')
      throw problem('unavailable', {
        detail: 'The keys of the sender cannot be had at the moment.',
        headers: { 'retry-after': '5' },
      })
    default:
      return verdict satisfies never
  }
}

/** By GET there are challenges only. */
export const getWebhookChallenge: RawOperation = submitWebhook

async function arrive(
  ctx: Context,
  call: OpenCall,
  request: RawRequest,
  spend: Spend,
): Promise<Arrival> {
  const { tenantId, source } = await findOpenSource(ctx, request.path.sourceId ?? '')
  if (!matcherOf(source.allowedIps)(call.ip)) {
    count(source, 'sender_not_allowed')
    throw problem('sender_not_allowed', { detail: 'Its address is not on the list of the source.' })
  }
  if (request.body.length > source.maxBodyBytes) {
    count(source, 'too_large')
    const detail = `This source takes at most ${source.maxBodyBytes} bytes.`
    throw problem('payload_too_large', { detail })
  }
  const secrets = secretsOf(ctx, tenantId, source)
  return { ctx, tenantId, source, scheme: schemes[source.scheme], secrets, call, request, spend }
}

const sourceId = /^src_[0-6][0-9a-hjkmnp-tv-z]{25}$/

/** A source that is disabled is to its sender as if it were not there. */
async function findOpenSource({ db }: Context, id: string) {
  const tenantId = sourceId.test(id) ? await findTenantOf(db.readers, id) : undefined
  const source = tenantId && (await findSource(db.readers.of(tenantId), tenantId, id))
  if (tenantId !== undefined && source?.status === 'ENABLED') return { tenantId, source }
  received.inc({ scheme: source?.scheme ?? 'none', outcome: 'no_source' })
  throw problem('not_found', { detail: 'There is no such source of webhooks.' })
}

/**
 * What a source may send is spent by what is verified alone, so that nobody who forges can use it up.
 * Handshakes have an account of their own: to some senders' anybody can ask for them. Answers the
 * refusal, in the form that the scheme refuses in; its sender sends it again.
 */
async function tooMuch(arrival: Arrival, name: string): Promise<RawReply | undefined> {
  const { spend, tenantId, source, scheme } = arrival
  const { throttlePerSecond: quota } = source
  if (quota === null) return undefined
  const waitMs = await spend(tenantId, source.id, { name, quota, windowSeconds: 1 })
  if (waitMs === 0) return undefined
  count(source, 'throttled')
  const refusal = quotaExceeded([name], waitMs)
  if (scheme.answers.refused.body === undefined) throw refusal
  return { ...scheme.answers.refused, status: refusal.status, headers: refusal.headers }
}

/** A webhook that is to be kept. */
interface Item {
  arrival: Arrival
  verdict: Accepted
  key: Buffer | null
  payload: { headers: Readonly<Record<string, string>>; body: Buffer }
}

/** Webhooks of one tenant that are kept in one transaction. */
const batchMax = 20

/**
 * What comes while a tenant's transaction is under way goes into its next: the more there is, the less
 * each costs. A second copy makes its transaction fail; then each is kept by itself.
 */
const keeperOf = perContext((ctx) =>
  gather((items: readonly Item[]) => keepAll(ctx, items), {
    batchMax,
    laneOf: ({ arrival }) => arrival.tenantId,
    isOfOne: isSecondCopy,
  }),
)

async function keepAll(ctx: Context, items: readonly Item[]): Promise<undefined[]> {
  const [first] = items
  if (first === undefined) return []
  await transact(ctx, first.arrival.tenantId, async (tx) => {
    for (const item of items) keep(tx, item)
  })
  return items.map(() => undefined)
}

/** Queues a receipt with what will pass it on. */
function keep(tx: Tx, { arrival, verdict, key, payload }: Item): void {
  const { tenantId, source, call } = arrival
  const receipt = newReceipt(tx.newId('rcp'), source, verdict, payload.body, call)
  if (key !== null) insertDedupe(tx, tenantId, receipt, key)
  insertReceipt(tx, tenantId, receipt, payload)
  if (receipt.status === 'RECEIVED') {
    enqueue(tx, causeOf(arrival), forwarding, { receiptId: receipt.id })
  } else publish(tx, causeOf(arrival), 'inbound.quarantined', toReceipt(receipt))
}

/** Keeps the webhook, and what will pass it on; a second copy changes nothing. */
async function take(arrival: Arrival, verdict: Accepted): Promise<RawReply> {
  const { ctx, source, scheme, secrets, request } = arrival
  const key = dedupeKeyOf(verdict, request.body)
  if (key === null && !source.acceptsUndedupable) {
    count(source, 'undedupable')
    const detail = 'It has neither an id nor a signed moment, and its source does not take such.'
    throw problem('invalid_request', { detail })
  }
  const headers = keptHeaders(source, request.headers, secrets)
  try {
    await keeperOf(ctx)({ arrival, verdict, key, payload: { headers, body: request.body } })
  } catch (error) {
    if (!isSecondCopy(error)) throw error
    count(source, 'duplicate')
    return scheme.answers.duplicate
  }
  count(source, verdict.isDrift ? 'quarantined' : 'accepted')
  return scheme.answers.accepted
}

const reasons: Record<RefusalReason, string> = {
  signature: 'It is not signed with a secret of its source.',
  timestamp: 'It was signed too long ago, or ahead of our time.',
  missing: 'It lacks what its source is verified by.',
  malformed: 'It is not what its source sends.',
  key: 'The key that it names is not one of its sender.',
}

/** As the sender demands it, or else with a problem that says why. */
function refuse({ source, scheme }: Arrival, reason: RefusalReason): RawReply {
  count(source, `refused_${reason}`)
  const { refused } = scheme.answers
  if (refused.body !== undefined) return refused
  throw problem(codeOf(refused.status, reason), { detail: reasons[reason] })
}

/** To some senders 401 is a request for a password: their scheme says 403. */
function codeOf(status: number, reason: RefusalReason): ProblemCode {
  if (reason === 'malformed') return 'invalid_request'
  return status === 403 ? 'sender_not_allowed' : 'webhook_refused'
}

async function greet(
  arrival: Arrival,
  { answer, confirmUrl }: Extract<Verdict, { kind: 'handshake' }>,
): Promise<RawReply> {
  count(arrival.source, 'handshake')
  if (confirmUrl !== undefined) await confirmLater(arrival, confirmUrl)
  return answer
}

async function confirmLater(arrival: Arrival, url: string): Promise<void> {
  const { ctx, tenantId, source } = arrival
  await transact(ctx, tenantId, async (tx) => {
    enqueue(tx, causeOf(arrival), confirmation, { sourceId: source.id, url })
  })
}

/** Nobody with a key of ours did it: it is put down to the part of the system that takes it in. */
function causeOf({ ctx, call }: Arrival): Cause {
  const { now, requestId, correlationId, traceparent, ip } = call
  return { ...systemCause(ctx, 'inbound'), now, requestId, correlationId, traceparent, ip }
}

function count({ scheme }: Source, outcome: string): void {
  received.inc({ scheme, outcome })
}
