import type { Context } from '#context.ts'

/** Follows the one stream of key changes, in which each has a position. */
export interface Following {
  /** The last position that was read. */
  position(): number
  /** Whether all is known that happened until a moment ago; otherwise no cached key is good. */
  isCurrent(): boolean
  stop(): void
}

const pollEveryMs = 250
const staleAfterMs = 1_000
/** A process that finds as many is behind, and reads on before it uses its cache. */
const changesPerPoll = 1_000

/** Polls the changes; `forget` is told which keys, or keys of which service accounts, changed. */
export function followChanges(
  { db, log }: Context,
  forget: (ids: ReadonlySet<string> | 'all') => void,
): Following {
  let position = -1
  let currentUntilMs = 0
  let isStopped = false
  let timer: NodeJS.Timeout | undefined

  /** Reads on, and forgets what changed; answers whether there is more to read. */
  async function readOn(): Promise<boolean> {
    // The head comes last: where it is further on than the changes, some of them were pruned.
    const rows = await db.readers.query<{ position: string; api_key_id: string | null }>(
      `select position, api_key_id from key_change where position > $1
       union all select position, null from key_change_head where position > $1
       order by position, api_key_id nulls last limit $2`,
      [position, changesPerPoll],
    )
    const changed = new Set<string>()
    let hasGap = false
    for (const row of rows) {
      const expected = row.api_key_id === null ? position : position + 1
      hasGap ||= Number(row.position) !== expected
      position = Number(row.position)
      if (row.api_key_id !== null) changed.add(row.api_key_id)
    }
    if (hasGap) forget('all')
    else if (changed.size > 0) forget(changed)
    return rows.length === changesPerPoll
  }

  async function poll(): Promise<void> {
    const startedMs = performance.now()
    let isBehind = false
    try {
      isBehind = await readOn()
      if (!isBehind) currentUntilMs = startedMs + staleAfterMs
    } catch (error) {
      log.warn({ err: error }, 'key changes could not be read')
    }
    if (!isStopped) timer = setTimeout(poll, isBehind ? 0 : pollEveryMs)
  }
  void poll()

  return {
    position: () => position,
    isCurrent: () => performance.now() < currentUntilMs,
    stop() {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
