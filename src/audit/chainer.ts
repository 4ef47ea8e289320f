import type pg from 'pg'
import type { Context } from '#context.ts'
import { flushWorker } from '#db/worker.ts'
import { faultPoints, reach } from '#fault-points.ts'
import { type Loop, runLoop } from '#jobs/loop.ts'
import {
  appendLinks,
  beginChains,
  type LastLink,
  type Link,
  lastLinks,
  pendingEntries,
  type Turn,
  takeTurns,
} from './chain.sql.ts'
import { auditForm, type ChainedEntry, genesis, linkHash } from './chain.ts'

const entriesMax = 500
const tenantsMax = 100
const idleMs = 250

interface Head {
  tenantId: string
  position: number
  hash: Buffer
}

/**
 * Chains committed audit entries, tenant by tenant, off the path of those who write them. Any number
 * of processes may do it: a tenant's head row is a turn. An entry waits in `audit_pending`, written
 * in its own transaction, so that one that commits late is chained later, and none is forgotten.
 */
export function runChainer(ctx: Context): Loop {
  // Where the last pass ended: the next begins behind it, so that every tenant has its turn.
  let after = ''
  const damaged = new Set<string>()

  async function pass(): Promise<boolean> {
    const client = await ctx.db.worker.connect()
    try {
      const [, turns] = await flushWorker<Turn>(client, 'begin', [takeTurns(after, tenantsMax)])
      const waiting = turns?.rows ?? []
      after = waiting.length < tenantsMax ? '' : (waiting.at(-1)?.tenant_id ?? '')
      const fresh = waiting.filter((turn) => !turn.has_head).map((turn) => turn.tenant_id)
      const links = await linksOf(client, waiting.flatMap(headOf))
      if (links.length > 0) reach(faultPoints.chainerBeforeCommit)
      await flushWorker(client, 'commit', [
        ...(fresh.length > 0 ? [beginChains(fresh, genesis)] : []),
        ...(links.length > 0 ? appendLinks(links, auditForm) : []),
      ])
      if (links.length > 0) reach(faultPoints.chainerAfterCommit)
      client.release()
      return links.length > 0 || fresh.length > 0 || after !== ''
    } catch (error) {
      // The connection goes with its transaction, whatever state that is in.
      client.release(true)
      throw error
    }
  }

  /** The next links of the chains whose heads are held. */
  async function linksOf(client: pg.PoolClient, heads: readonly Head[]): Promise<Link[]> {
    if (heads.length === 0) return []
    const tenantIds = heads.map(({ tenantId }) => tenantId)
    const [ends, entries] = await Promise.all([
      client.query<LastLink>(lastLinks(tenantIds)),
      client.query<ChainedEntry>(
        pendingEntries(tenantIds, Math.ceil(entriesMax / tenantIds.length)),
      ),
    ])
    const whole = heads.filter((head) => isWhole(head, ends.rows))
    return extend(whole, entries.rows)
  }

  /** A chain that does not end where its head says was tampered with: it is left as it is found. */
  function isWhole({ tenantId, position, hash }: Head, ends: readonly LastLink[]): boolean {
    const end = ends.find((link) => link.tenant_id === tenantId)
    const [last, lastHash] = end ? [Number(end.position), end.hash] : [0, genesis]
    if (position === last && hash.equals(lastHash)) return true
    if (!damaged.has(tenantId)) {
      ctx.log.error({ tenantId, position, last }, 'an audit chain is damaged; run: audit:verify')
    }
    damaged.add(tenantId)
    return false
  }

  return runLoop({ name: 'chainer', pass, idleMs, log: ctx.log })
}

function headOf({ tenant_id: tenantId, position, hash }: Turn): Head[] {
  return position === null || hash === null ? [] : [{ tenantId, position: Number(position), hash }]
}

function extend(heads: readonly Head[], entries: readonly ChainedEntry[]): Link[] {
  const ends = new Map(heads.map((head) => [head.tenantId, head]))
  return entries.flatMap((entry) => {
    const end = ends.get(entry.tenantId)
    if (end === undefined) return []
    const next = { ...end, position: end.position + 1, hash: linkHash(end.hash, entry) }
    ends.set(entry.tenantId, next)
    return [{ entry, position: next.position, hash: next.hash }]
  })
}
