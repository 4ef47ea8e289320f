import { matcherOf } from '#api-keys/allow-list.ts'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { allowsUrl } from '#egress/hosts.ts'
import { findAllowedHosts } from '#egress/policy.sql.ts'
import type { InboundOutcome, ProblemCode } from '#generated/types.ts'
import { quotaExceeded } from '#http/admit.ts'
import type { OpenCall, RawOperation, RawReply, RawRequest, Spend } from '#http/operation.ts'
import { type Problem, problem } from '#http/problem.ts'
import { afterHead, type RawHead } from '#http/raw.ts'
import type { TenantId } from '#ids.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { perContext } from '#per-context.ts'
import { confirmation } from './confirmation.ts'
import { causeOf, type Item, keeperOf } from './keeper.ts'
import { outcomesOf } from './outcome.ts'
import { createFetchKeys } from './public-keys.ts'
import { isSecondCopy } from './receipt.sql.ts'
import { dedupeKeyOf, keptHeaders } from './receipt.ts'
import type { Accepted, FetchKeys, RefusalReason, Verdict } from './scheme.ts'
import { schemes } from './schemes.ts'
import { expectSource, findSource, findTenantOf, isOutdated } from './source.sql.ts'
import { type Source, secretsOf } from './source.ts'

const providerUrls = new Set(Object.values(schemes).flatMap(({ keysUrl }) => keysUrl ?? []))

/** What was fetched is kept for as long as the process lives. */
const fetchKeysOf = perContext((ctx) => createFetchKeys(ctx, providerUrls))

/**
 * The same for a tenant, to the hosts that its policy allows. Where a source was to be asked about
 * before is no place to ask at.
 */
function fetchKeysFor({ ctx, tenantId, isRemembered }: Arrival): FetchKeys {
  const fetchKeys = fetchKeysOf(ctx)(tenantId)
  return async (url, read, wish) => {
    if (isRemembered) throw new Error('What is remembered may be out of date.')
    const allowed = await findAllowedHosts(ctx.db.readers.of(tenantId), tenantId)
    if (!allowsUrl(allowed, url)) throw new Error('The egress policy does not allow the host.')
    return await fetchKeys(url, read, wish)
  }
}

/** A webhook at the door. */
interface Asked {
  ctx: Context
  call: OpenCall
  request: RawRequest
  spend: Spend
}

/** And whose it is. */
interface Arrival extends Asked, Found {
  /** Whether the source was read for another webhook, so that it may be another by now. */
  isRemembered: boolean
}

interface Found {
  tenantId: TenantId
  source: Source
  /** Whether its list has the address. */
  admits: (ip: string | null) => boolean
}

/** A webhook that its source does not take, whoever signed it. */
interface Barred {
  kind: 'barred'
  outcome: InboundOutcome
  code: ProblemCode
  detail: string
}

/**
 * What anybody may send is judged here, dearest last: is there such a source, from there, so much, and
 * is it really they; all but the last before its body is read. Only then is it asked whether it was here
 * before: what is forged never keeps out what is real.
 *
 * A source is not read for each that comes. What it takes is kept only if it is still as it was when
 * that was judged; what is refused is refused by the source as it is now.
 */
export const submitWebhook = afterHead(judgeHead, async (ctx, call, request, spend) => {
  const id = request.path.sourceId ?? ''
  const asked = { ctx, call, request, spend }
  const known = remembered(ctx).get(id)
  const reply = known && (await takeAsRemembered({ ...asked, ...known, isRemembered: true }))
  if (reply !== undefined) return reply
  return (await takeAsRead(asked, id)) ?? (await takeAsRead(asked, id)) ?? giveUp()
})

/** By GET nobody sends, and no scheme that there is has challenges by it. */
export const getWebhookChallenge: RawOperation = submitWebhook

/** By the source as it is now; undefined when it is another before the webhook is kept. */
async function takeAsRead(asked: Asked, id: string): Promise<RawReply | undefined> {
  const arrival = { ...asked, ...(await findOpenSource(asked.ctx, id)), isRemembered: false }
  return await unlessOutdated(async () => conclude(arrival, await judge(arrival)))
}

/** Keys are fetched and throttles asked within seconds: who changes a source all the time waits. */
function giveUp(): never {
  throw problem('unavailable', {
    detail: 'The source was changed while this was taken in.',
    headers: { 'retry-after': '1' },
  })
}

async function unlessOutdated(work: () => Promise<RawReply>): Promise<RawReply | undefined> {
  try {
    return await work()
  } catch (error) {
    if (isOutdated(error)) return undefined
    throw error
  }
}

/** Whom a source as it is remembered bars may be welcome by now: only as it was read it bars anybody. */
async function judgeHead(ctx: Context, call: OpenCall, head: RawHead): Promise<TenantId> {
  const id = head.path.sourceId ?? ''
  const bytes = Number(head.headers['content-length'] ?? 0)
  const known = remembered(ctx).get(id)
  if (known && barrierFor(known, call, bytes) === undefined) return known.tenantId
  const found = await findOpenSource(ctx, id)
  const barred = barrierFor(found, call, bytes)
  if (barred !== undefined) throw bar(ctx, found, barred)
  return found.tenantId
}

/** Who asks a throttle has spent of it, and it may be another by now: such a source is read first. */
async function takeAsRemembered(arrival: Arrival): Promise<RawReply | undefined> {
  if (arrival.source.throttlePerSecond !== null) return undefined
  const judgement = await judge(arrival)
  return judgement.kind === 'acceptable' ? await unlessOutdated(() => take(judgement)) : undefined
}

/** Changes nothing, and counts nothing. */
async function judge(
  arrival: Arrival,
): Promise<Item<Arrival> | Barred | Exclude<Verdict, Accepted>> {
  const { ctx, tenantId, source, call, request } = arrival
  const barred = barrierFor(arrival, call, request.body.length)
  if (barred !== undefined) return barred
  const secrets = secretsOf(ctx, tenantId, source)
  const verdict = await schemes[source.scheme].verify(request, {
    now: call.now,
    secrets,
    settings: source.settings,
    fetchKeys: fetchKeysFor(arrival),
  })
  if (verdict.kind !== 'accepted') return verdict
  const key = dedupeKeyOf(verdict, request.body)
  if (key === null && !source.acceptsUndedupable) {
    const detail = 'It has neither an id nor a signed moment, and its source does not take such.'
    return { kind: 'barred', outcome: 'UNDEDUPABLE', code: 'invalid_request', detail }
  }
  const headers = keptHeaders(source, request.headers, secrets)
  return { kind: 'acceptable', arrival, verdict, key, payload: { headers, body: request.body } }
}

/** What keeps a body of so many bytes out, whatever is in it. */
function barrierFor(
  { source, admits }: Found,
  { ip }: OpenCall,
  bytes: number,
): Barred | undefined {
  if (!admits(ip)) {
    const detail = 'Its address is not on the list of the source.'
    return { kind: 'barred', outcome: 'SENDER_NOT_ALLOWED', code: 'sender_not_allowed', detail }
  }
  if (bytes <= source.maxBodyBytes) return undefined
  const detail = `This source takes at most ${source.maxBodyBytes} bytes.`
  return { kind: 'barred', outcome: 'TOO_LARGE', code: 'payload_too_large', detail }
}

function bar(
  ctx: Context,
  { tenantId, source }: Found,
  { outcome, code, detail }: Barred,
): Problem {
  outcomesOf(ctx).tell(tenantId, source, outcome)
  return problem(code, { detail })
}

async function conclude(
  arrival: Arrival,
  judgement: Awaited<ReturnType<typeof judge>>,
): Promise<RawReply> {
  switch (judgement.kind) {
    case 'acceptable':
      return (await tooMuch(arrival, 'inbound')) ?? (await take(judgement))
    case 'barred':
      throw bar(arrival.ctx, arrival, judgement)
    case 'refused':
      return refuse(arrival, judgement.reason)
    case 'handshake':
      return (await tooMuch(arrival, 'handshake')) ?? (await greet(arrival, judgement))
    case 'unavailable':
      tell(arrival, 'UNAVAILABLE')
      throw problem('unavailable', {
        detail: 'The keys of the sender cannot be had at the moment.',
        headers: { 'retry-after': '5' },
      })
    default:
      return judgement satisfies never
  }
}

/** Sources that webhooks came to, as they were when they were read. A bad id is none, and takes no room. */
const remembered = perContext(() => new Map<string, Found>())
const rememberedMax = 1_000

const sourceId = /^src_[0-6][0-9a-hjkmnp-tv-z]{25}$/

/** A source that is disabled is to its sender as if it were not there. */
async function findOpenSource(ctx: Context, id: string): Promise<Found> {
  const { readers } = ctx.db
  const sources = remembered(ctx)
  const tenantId = sourceId.test(id)
    ? (sources.get(id)?.tenantId ?? (await findTenantOf(readers, id)))
    : undefined
  const source = tenantId && (await findSource(readers.of(tenantId), tenantId, id))
  if (tenantId !== undefined && source?.status === 'ENABLED') {
    if (sources.size >= rememberedMax) sources.clear()
    const found = { tenantId, source, admits: matcherOf(source.allowedIps) }
    sources.set(id, found)
    return found
  }
  sources.delete(id)
  outcomesOf(ctx).tellStray(source)
  throw problem('not_found', { detail: 'There is no such source of webhooks.' })
}

/**
 * What a source may send is spent by what is verified alone, so that nobody who forges can use it up.
 * Handshakes have an account of their own: to some senders' anybody can ask for them. Answers the
 * refusal, in the form that the scheme refuses in; its sender sends it again.
 */
async function tooMuch(arrival: Arrival, name: string): Promise<RawReply | undefined> {
  const { spend, tenantId, source } = arrival
  const { throttlePerSecond: quota } = source
  if (quota === null) return undefined
  const waitMs = await spend(tenantId, source.id, { name, quota, windowSeconds: 1 })
  if (waitMs === 0) return undefined
  tell(arrival, 'THROTTLED')
  const refusal = quotaExceeded([name], waitMs)
  const { refused } = schemes[source.scheme].answers
  if (refused.body === undefined) throw refusal
  return { ...refused, status: refusal.status, headers: refusal.headers }
}

/** Keeps the webhook, and what will pass it on; a second copy changes nothing. */
async function take(item: Item<Arrival>): Promise<RawReply> {
  const { ctx, source } = item.arrival
  const { answers } = schemes[source.scheme]
  try {
    await keeperOf(ctx)(item)
  } catch (error) {
    if (!isSecondCopy(error)) {
      if (!isOutdated(error)) tell(item.arrival, 'UNAVAILABLE')
      throw error
    }
    tell(item.arrival, 'DUPLICATE')
    return answers.duplicate
  }
  tell(item.arrival, item.verdict.isDrift ? 'QUARANTINED' : 'ACCEPTED')
  return answers.accepted
}

const refusals: Record<RefusalReason, { outcome: InboundOutcome; detail: string }> = {
  signature: {
    outcome: 'REFUSED_SIGNATURE',
    detail: 'It is not signed with a secret of its source.',
  },
  timestamp: {
    outcome: 'REFUSED_TIMESTAMP',
    detail: 'It was signed too long ago, or ahead of our time.',
  },
  missing: { outcome: 'REFUSED_MISSING', detail: 'It lacks what its source is verified by.' },
  malformed: { outcome: 'REFUSED_MALFORMED', detail: 'It is not what its source sends.' },
  key: { outcome: 'REFUSED_KEY', detail: 'The key that it names is not one of its sender.' },
}

/** As the sender demands it, or else with a problem that says why. */
function refuse(arrival: Arrival, reason: RefusalReason): RawReply {
  const { outcome, detail } = refusals[reason]
  tell(arrival, outcome)
  const { refused } = schemes[arrival.source.scheme].answers
  if (refused.body !== undefined) return refused
  throw problem(codeOf(refused.status, reason), { detail })
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
  if (confirmUrl !== undefined) await confirmLater(arrival, confirmUrl)
  tell(arrival, 'HANDSHAKE')
  return answer
}

async function confirmLater(arrival: Arrival, url: string): Promise<void> {
  const { ctx, tenantId, source } = arrival
  await transact(ctx, tenantId, async (tx) => {
    expectSource(tx, tenantId, source)
    enqueue(tx, causeOf(arrival), confirmation, { sourceId: source.id, url })
  })
}

function tell({ ctx, tenantId, source }: Arrival, outcome: InboundOutcome): void {
  outcomesOf(ctx).tell(tenantId, source, outcome)
}
