import type pg from 'pg'
import { flushQueue } from '#db/worker.ts'
import type { Claimed } from './claim.sql.ts'

/** What a delivery sends in place of its event. */
export interface Payload {
  /** Whether anything: its endpoint had a transformation when it was made. */
  isTransformed: boolean
  /** null until it was made. */
  body: Buffer | null
}

const nothing: Payload = { isTransformed: false, body: null }

/** What the deliveries keep, in their order. */
export async function findPayloads(pool: pg.Pool, claims: readonly Claimed[]): Promise<Payload[]> {
  const [result] = await flushQueue<Payload & { deliveryId: string }>(pool, [
    {
      name: 'delivery_payloads',
      text: `
      select delivery.id as "deliveryId", delivery.is_transformed as "isTransformed", delivery.body
      from unnest($1::text[], $2::text[], $3::date[]) as c (tenant_id, delivery_id, created_on)
      cross join lateral (
        select id, is_transformed, body from webhook_delivery
        where tenant_id = c.tenant_id and id = c.delivery_id and created_on = c.created_on offset 0
      ) as delivery`,
      values: placesOf(claims),
    },
  ])
  return inOrder(claims, result?.rows ?? [], nothing)
}

/** A body that was made for a claimed delivery. */
export interface MadeBody {
  claimed: Claimed
  body: Buffer
}

/**
 * Keeps what was made, unless something is kept already; answers what is kept, in their order. So
 * whoever makes it a second time sends what the first one did.
 */
export async function keepBodies(pool: pg.Pool, made: readonly MadeBody[]): Promise<Buffer[]> {
  const claims = made.map(({ claimed }) => claimed)
  const [result] = await flushQueue<{ deliveryId: string; body: Buffer }>(pool, [
    {
      name: 'delivery_bodies_keep',
      text: `
      update webhook_delivery as delivery set body = coalesce(delivery.body, c.body)
      from unnest($1::text[], $2::text[], $3::date[], $4::bytea[])
        as c (tenant_id, delivery_id, created_on, body)
      where delivery.tenant_id = c.tenant_id and delivery.id = c.delivery_id
        and delivery.created_on = c.created_on
      returning delivery.id as "deliveryId", delivery.body`,
      values: [...placesOf(claims), made.map(({ body }) => body)],
    },
  ])
  const kept = inOrder(claims, result?.rows ?? [], undefined)
  return kept.map((row) => {
    if (row === undefined) throw new Error('a delivery is gone while it is made')
    return row.body
  })
}

function placesOf(claims: readonly Claimed[]): unknown[] {
  return [
    claims.map(({ tenantId }) => tenantId),
    claims.map(({ deliveryId }) => deliveryId),
    claims.map(({ createdOn }) => createdOn),
  ]
}

function inOrder<Row extends { deliveryId: string }, Other>(
  claims: readonly Claimed[],
  rows: readonly Row[],
  otherwise: Other,
): (Row | Other)[] {
  const byId = new Map(rows.map((row) => [row.deliveryId, row]))
  return claims.map(({ deliveryId }) => byId.get(deliveryId) ?? otherwise)
}
