import type { Api, Reply, World } from '../world.ts'

interface Event {
  id: string
  type: string
  position: number
  data: { id: string } | null
}

export interface Batch {
  id: string
  lastPosition: number
  leasedUntil: string
  data: Event[]
}

export async function aConsumer(api: Api, more: object = {}): Promise<string> {
  const reply = await api.post('/api/v1/event-consumers', { name: 'Warehouse', ...more })
  if (reply.status !== 201) throw new Error(JSON.stringify(reply.body))
  return `/api/v1/event-consumers/${reply.body.id}`
}

export async function aClient(api: Api, name = 'Ada'): Promise<string> {
  return (await api.post('/api/v1/clients', { name, currency: 'GBP' })).body.id
}

/** The next batch; throws when there is none. */
export async function fetchBatch(api: Api, consumer: string, more: object = {}): Promise<Batch> {
  const reply = await api.post(`${consumer}/batches`, more)
  if (reply.status !== 200) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`)
  return reply.body
}

export function commit(api: Api, consumer: string, batchId: string, position?: number) {
  return api.post(`${consumer}/commits`, {
    batchId,
    ...(position === undefined ? {} : { position }),
  })
}

export const positionsOf = ({ data }: { data: readonly Event[] }): number[] =>
  data.map(({ position }) => position)

/** Waits until a lease has ended, which is told by the clock of the database. */
export async function pastLease(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_050))
}

/** Every position of the tenant whose key it is, and what is there. */
export async function everything(world: World, api: Api) {
  const me: Reply = await api.get('/api/v1/me')
  return await world.query<{ position: number; event_id: string; type: string }>(
    `select position::int, event_id, type from event_position where tenant_id = $1
     order by position`,
    [me.body.tenant.id],
  )
}
