import type pg from 'pg'
import { spans, spansKeptForMs } from './span.ts'

/** Forgets old figures, so many at a time; answers how many it was. */
export function figurePrune(
  table: 'webhook_metric' | 'inbound_metric',
  now: Date,
  limit: number,
): pg.QueryConfig {
  const before = (ms: number) => new Date(now.getTime() - ms).toISOString()
  return {
    text: `
      delete from ${table} where ctid = any(array(
        select ctid from ${table}
        where (span_seconds = ${spans.short} and starts_at < $1)
          or (span_seconds = ${spans.long} and starts_at < $2)
        limit $3))`,
    values: [before(spansKeptForMs.short), before(spansKeptForMs.long), limit],
  }
}
