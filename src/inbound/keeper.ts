import type { Context } from '#context.ts'
import { type Tx, transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { type Cause, type OpenCall, systemCause } from '#http/operation.ts'
import type { TenantId } from '#ids.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { gather } from '#jobs/gather.ts'
import { perContext } from '#per-context.ts'
import { insertDedupe, insertReceipt, isSecondCopy } from './receipt.sql.ts'
import { forwarding, newReceipt, toReceipt } from './receipt.ts'
import type { Accepted } from './scheme.ts'
import { expectSource, isOutdated } from './source.sql.ts'
import type { Source } from './source.ts'

/** To whom a webhook was sent, and how it came. */
export interface Sent {
  ctx: Context
  tenantId: TenantId
  source: Source
  call: OpenCall
}

/** A webhook that is to be kept. */
export interface Item<Arrival extends Sent = Sent> {
  kind: 'acceptable'
  arrival: Arrival
  verdict: Accepted
  key: Buffer | null
  payload: { headers: Readonly<Record<string, string>>; body: Buffer }
}

/** Webhooks of one tenant that are kept in one transaction. */
const batchMax = 20

/** Each transaction waits for the disk, which is what their sender waits for longest. */
const apartMs = 10

/**
 * What comes while a tenant's transaction is under way goes into its next: the more there is, the less
 * each costs. A second copy, or a source that has changed, makes its transaction fail; then each is
 * kept by itself.
 */
export const keeperOf = perContext((ctx) =>
  gather((items: readonly Item[]) => keepAll(ctx, items), {
    ...{ batchMax, apartMs },
    laneOf: ({ arrival }) => arrival.tenantId,
    isOfOne: (error) => isSecondCopy(error) || isOutdated(error),
  }),
)

async function keepAll(ctx: Context, items: readonly Item[]): Promise<undefined[]> {
  const [first] = items
  if (first === undefined) return []
  await transact(ctx, first.arrival.tenantId, async (tx) => {
    for (const source of differentOf(items)) expectSource(tx, first.arrival.tenantId, source)
    for (const item of items) keep(tx, item)
  })
  return items.map(() => undefined)
}

/** Their sources, as they were read: each revision once. */
function differentOf(items: readonly Item[]): Iterable<Source> {
  const sources = items.map(({ arrival: { source } }) => source)
  return new Map(sources.map((source) => [`${source.id} ${source.revision}`, source])).values()
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

/** Nobody with a key of ours did it: it is put down to the part of the system that takes it in. */
export function causeOf({ ctx, call }: Pick<Sent, 'ctx' | 'call'>): Cause {
  const { now, requestId, correlationId, traceparent, ip } = call
  return { ...systemCause(ctx, 'inbound'), now, requestId, correlationId, traceparent, ip }
}
