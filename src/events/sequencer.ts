import type pg from 'pg'
import type { Context } from '#context.ts'
import { flushWorker } from '#db/worker.ts'
import { faultPoints, reach } from '#fault-points.ts'
import type { TenantId } from '#ids.ts'
import { type Loop, runLoop } from '#jobs/loop.ts'

/**
 * The *sequencer* gives committed events dense positions, tenant by tenant, and hands them on, in
 * one transaction. Any number of processes may run it: a tenant's head row is a turn, and whoever
 * holds it numbers that tenant's events. Readers then go by position and miss nothing, which no
 * order by id or time could promise, since transactions commit in another order than they began.
 */
export interface SequencedEvent {
  tenantId: TenantId
  position: number
  eventId: string
  createdOn: string
  type: string
  /** The only endpoint that it is for; null is all. */
  endpointId: string | null
}

/** Turns events into what follows from them, in the sequencer's transaction. */
export type FanOut = (
  read: (query: pg.QueryConfig) => Promise<pg.QueryResult>,
  events: readonly SequencedEvent[],
) => Promise<Following>

export interface Following {
  /** Of each tenant the first events, at least one; the others come with the next pass. */
  taken: readonly SequencedEvent[]
  statements: readonly pg.QueryConfig[]
}

const eventsMax = 500
const eventsLeast = 100
const tenantsMax = 100
const idleMs = 50

/** `onSequenced` is told after each pass that gave positions whether something followed from them. */
export function runSequencer(
  ctx: Context,
  fanOut: FanOut,
  onSequenced: (hasFollowing: boolean) => void,
): Loop {
  // Where the last pass ended: the next begins behind it, so that every tenant has its turn.
  let after = ''
  /** Where each event is told to many, fewer fit into a pass, and the others need not be read. */
  let eventsWanted = eventsMax

  async function pass(): Promise<boolean> {
    const client = await ctx.db.worker.connect()
    try {
      const [, turns] = await flushWorker<Turn>(client, 'begin', [takeTurns(after)])
      const waiting = turns?.rows ?? []
      after = waiting.length < tenantsMax ? '' : (waiting.at(-1)?.tenant_id ?? '')
      const heads = waiting.filter(isOurs)
      const events = heads.length === 0 ? [] : await number(client, heads, eventsWanted)
      const { writes, hasFollowing } = await follow(client, events)
      if (events.length > 0) reach(faultPoints.sequencerBeforeCommit)
      await flushWorker(client, 'commit', writes)
      if (events.length > 0) reach(faultPoints.sequencerAfterCommit)
      client.release()
      if (events.length > 0) onSequenced(hasFollowing)
      return events.length > 0 || after !== ''
    } catch (error) {
      // The connection goes with its transaction, whatever state that is in.
      client.release(true)
      throw error
    }
  }

  async function follow(client: pg.PoolClient, events: readonly SequencedEvent[]) {
    if (events.length === 0) return { writes: [], hasFollowing: false }
    const { taken, statements } = await fanOut((query) => client.query(query), events)
    eventsWanted = Math.min(eventsMax, Math.max(eventsLeast, 2 * taken.length))
    return { writes: [...statements, ...positionsOf(taken)], hasFollowing: statements.length > 0 }
  }

  return runLoop({ name: 'sequencer', pass, idleMs, log: ctx.log })
}

interface Head {
  tenant_id: TenantId
  position: string
}

/** A tenant with pending events; without a position when another sequencer has its turn. */
interface Turn {
  tenant_id: TenantId
  position: string | null
}

function isOurs(turn: Turn): turn is Head {
  return turn.position !== null
}

interface Pending {
  tenant_id: TenantId
  event_id: string
  created_on: string
  type: string
  endpoint_id: string | null
}

/** The next tenants with pending events, from tenant to tenant by the index, and their heads. */
function takeTurns(after: string): pg.QueryConfig {
  return {
    name: 'sequencer_take_turns',
    text: `
      with recursive waiting (tenant_id) as (
        (select tenant_id from event_pending where tenant_id > $1 order by tenant_id limit 1)
        union all
        select (select pending.tenant_id from event_pending as pending
          where pending.tenant_id > waiting.tenant_id order by pending.tenant_id limit 1)
        from waiting where waiting.tenant_id is not null
      ), turns as materialized (
        select tenant_id from waiting where tenant_id is not null limit ${tenantsMax}
      )
      select turns.tenant_id, head.position from turns left join lateral (
        select position from stream_head
        where stream_head.tenant_id = turns.tenant_id for update skip locked
      ) as head on true
      order by turns.tenant_id`,
    values: [after],
  }
}

/** A fair share of each tenant's pending events, oldest first, with the positions that they get. */
async function number(
  client: pg.PoolClient,
  heads: readonly Head[],
  count: number,
): Promise<SequencedEvent[]> {
  const share = Math.floor(count / heads.length)
  const { rows } = await client.query<Pending>({
    name: 'sequencer_pending',
    text: `
      select pending.* from unnest($1::text[]) as turn (tenant_id)
      cross join lateral (
        select tenant_id, event_id, created_on, type, endpoint_id from event_pending
        where event_pending.tenant_id = turn.tenant_id order by event_id limit $2
      ) as pending`,
    values: [heads.map((head) => head.tenant_id), share],
  })
  const positions = new Map(heads.map((head) => [head.tenant_id, Number(head.position)]))
  return rows.map((row) => {
    const position = (positions.get(row.tenant_id) ?? 0) + 1
    positions.set(row.tenant_id, position)
    return {
      tenantId: row.tenant_id,
      position,
      eventId: row.event_id,
      createdOn: row.created_on,
      type: row.type,
      endpointId: row.endpoint_id,
    }
  })
}

/** Writes the positions, moves the heads on, and takes the events off the pending ones. */
function positionsOf(events: readonly SequencedEvent[]): pg.QueryConfig[] {
  const last = new Map(events.map((event) => [event.tenantId, event.position]))
  return [
    {
      name: 'sequencer_positions',
      text: `
        with given as (
          select * from unnest($1::text[], $2::bigint[], $3::text[], $4::date[], $5::text[],
            $6::text[]) as e (tenant_id, position, event_id, created_on, type, endpoint_id)
        ), taken as (
          delete from event_pending using given
          where event_pending.tenant_id = given.tenant_id
            and event_pending.event_id = given.event_id
        )
        insert into event_position (tenant_id, position, event_id, created_on, type, endpoint_id)
        select tenant_id, position, event_id, created_on, type, endpoint_id from given`,
      values: [
        events.map((event) => event.tenantId),
        events.map((event) => event.position),
        events.map((event) => event.eventId),
        events.map((event) => event.createdOn),
        events.map((event) => event.type),
        events.map((event) => event.endpointId),
      ],
    },
    {
      name: 'sequencer_heads',
      text: `
        update stream_head set position = moved.position
        from unnest($1::text[], $2::bigint[]) as moved (tenant_id, position)
        where stream_head.tenant_id = moved.tenant_id`,
      values: [[...last.keys()], [...last.values()]],
    },
  ]
}
