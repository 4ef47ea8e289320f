import type { Finding, Query } from './checker/finding.ts'

/** What was seen of the law that nothing which was matched is lost, while things went wrong. */
export interface BalanceSeen {
  samples: number
  /** The most deliveries that were missing, or too many, of one endpoint at one moment. */
  worst: number
  /** The first of each endpoint. */
  findings: Finding[]
}

interface Imbalance {
  endpoint_id: string
  missing: number
}

/** At the least; a fifth of the time may be spent looking. */
const apartMs = 1_000

/** Looks at the balance of all endpoints again and again, until it is told to stop. */
export function watchBalance(
  query: Query,
  tenantIds: readonly string[],
): { stop(): Promise<BalanceSeen> } {
  const seen: BalanceSeen = { samples: 0, worst: 0, findings: [] }
  const known = new Set<string>()
  const over = Promise.withResolvers<void>()
  let isOver = false

  async function look(): Promise<void> {
    const rows = await query<Imbalance>(
      `select endpoint_id, missing::int from webhook_balance
       where tenant_id = any($1) and missing <> 0`,
      [tenantIds],
    )
    seen.samples += 1
    for (const { endpoint_id, missing } of rows) {
      seen.worst = Math.max(seen.worst, Math.abs(missing))
      if (known.has(endpoint_id)) continue
      known.add(endpoint_id)
      const kind = missing > 0 ? 'LOST' : 'DOUBLED'
      const what = `out of balance by ${missing} while it went on`
      seen.findings.push({ kind, what, where: endpoint_id })
    }
  }

  async function watch(): Promise<void> {
    while (!isOver) {
      const startMs = performance.now()
      // While Postgres is away there is nothing to look at.
      await look().catch(() => undefined)
      const tookMs = performance.now() - startMs
      const restMs = Math.max(apartMs, 4 * tookMs)
      await Promise.race([over.promise, new Promise((next) => setTimeout(next, restMs))])
    }
  }

  const watching = watch()
  return {
    async stop() {
      isOver = true
      over.resolve()
      await watching
      await look().catch(() => undefined)
      return seen
    },
  }
}
