import type pg from 'pg'
import type { Beat, Cell } from './tally.ts'

const sums = [
  'calls',
  'client_errors',
  'server_errors',
  'limit_hits',
  'request_bytes',
  'response_bytes',
  'latency_buckets',
  'latency_counts',
]

/** Lists of different lengths do not fit into one array, so they go as text. */
const putCells = `
  insert into api_call_minute (tenant_id, minute, operation_id, api_key_id, process_id,
    ${sums.join(', ')})
  select tenant_id, minute, operation_id, api_key_id, $1, calls, client_errors, server_errors,
    limit_hits, request_bytes, response_bytes, buckets::integer[], counts::integer[]
  from unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::int[], $7::int[],
    $8::int[], $9::int[], $10::bigint[], $11::bigint[], $12::text[], $13::text[])
    as cell (tenant_id, minute, operation_id, api_key_id, calls, client_errors, server_errors,
      limit_hits, request_bytes, response_bytes, buckets, counts)
  on conflict (tenant_id, minute, operation_id, api_key_id, process_id) do update
    set ${sums.map((column) => `${column} = excluded.${column}`).join(', ')}`

/** Writes the totals of cells in place of what they were. */
export async function putMinutes(
  worker: pg.Pool,
  processId: string,
  cells: readonly Cell[],
): Promise<void> {
  const values = [
    processId,
    cells.map((cell) => cell.tenantId),
    cells.map((cell) => new Date(cell.minuteMs).toISOString()),
    cells.map((cell) => cell.operationId),
    cells.map((cell) => cell.apiKeyId),
    cells.map((cell) => cell.calls),
    cells.map((cell) => cell.clientErrors),
    cells.map((cell) => cell.serverErrors),
    cells.map((cell) => cell.limitHits),
    cells.map((cell) => cell.requestBytes),
    cells.map((cell) => cell.responseBytes),
    cells.map((cell) => `{${[...cell.sketch.keys()]}}`),
    cells.map((cell) => `{${[...cell.sketch.values()]}}`),
  ]
  await worker.query({ name: 'api_call_minute_put', text: putCells, values })
}

/** A row written in its own minute is a sign of life, and stays one. */
const putAll = `
  insert into api_beat (minute, process_id, is_alive, calls, failures)
  select minute, $1, is_alive, calls, failures
  from unnest($2::timestamptz[], $3::bool[], $4::int[], $5::int[])
    as beat (minute, is_alive, calls, failures)
  on conflict (minute, process_id) do update
    set is_alive = api_beat.is_alive or excluded.is_alive, calls = excluded.calls,
      failures = excluded.failures`

export async function putBeats(
  worker: pg.Pool,
  processId: string,
  beats: readonly Beat[],
  currentMinuteMs: number,
): Promise<void> {
  const values = [
    processId,
    beats.map((beat) => new Date(beat.minuteMs).toISOString()),
    beats.map((beat) => beat.isAlive || beat.minuteMs === currentMinuteMs),
    beats.map((beat) => beat.calls),
    beats.map((beat) => beat.failures),
  ]
  await worker.query({ name: 'api_beat_put', text: putAll, values })
}
