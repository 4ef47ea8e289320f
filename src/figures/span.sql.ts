import { sql } from 'kysely'

/** The hour in which a span began, as a moment in UTC that JavaScript reads. */
export const hourOfSpan = sql<string>`to_char(
  date_trunc('hour', starts_at at time zone 'UTC'), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
