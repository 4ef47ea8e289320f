import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { type TenantId, tenantId } from '#ids.ts'
import type { Api, Reply, World } from '../world.ts'

/** The tenant that a caller's key opens. */
export async function tenantOf(api: Api): Promise<TenantId> {
  const { body } = await api.get('/api/v1/me')
  return tenantId(body.tenant.id)
}

/** Something that could be a client: the data of the events that tests publish. */
export async function aClient(api: Api): Promise<Reply['body']> {
  const { body } = await api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
  return body
}

/** A type that the tenant has registered, of events that may say anything. */
export async function aTypeOfOnesOwn(api: Api): Promise<string> {
  const type = 'custom.parcel.sent'
  const saying = { description: 'A parcel left.', schema: { type: 'object' }, example: {} }
  const { status, body } = await api.post('/api/v1/event-types', { type, ...saying })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return type
}

/** Publishes so many events of type client.created in one transaction, as one call might. */
export async function publishAtOnce(
  { ctx }: World,
  tenant: TenantId,
  client: Reply['body'],
  count: number,
  beforeCommit: () => Promise<unknown> = async () => undefined,
): Promise<string[]> {
  const cause = systemCause(ctx, 'test')
  return await transact(ctx, tenant, async (tx) => {
    const events = Array.from({ length: count }, () => publish(tx, cause, 'client.created', client))
    await beforeCommit()
    return events.map(({ id }) => id)
  })
}

export interface FeedEvent {
  id: string
  type: string
  position: number
}

/** Reads a feed from a cursor to its present end; answers the events and where to go on. */
export async function readFeed(api: Api, from = '', query = '&limit=50') {
  const events: FeedEvent[] = []
  let cursor = from
  for (;;) {
    const at = cursor && `&cursor=${encodeURIComponent(cursor)}`
    const { status, body } = await api.get(`/api/v1/events?sort=position${query}${at}`)
    if (status !== 200) throw new Error(JSON.stringify(body))
    events.push(...body.data)
    cursor = body.nextCursor
    if (body.data.length === 0) return { events, cursor }
  }
}
