import type { Selectable } from 'kysely'
import type { Tables } from '#generated/tables.ts'
import type { DeliveryOptions } from './options.ts'

/** The columns of an endpoint that say how it wants to be told. */
export const optionColumns = [
  'retry_delays_seconds',
  'in_flight_max',
  'rate_count',
  'rate_seconds',
  'ordering',
  'batch_events_max',
  'batch_wait_seconds',
] as const

type Row = Pick<Selectable<Tables['webhook_endpoint']>, (typeof optionColumns)[number]>

export function optionsFromRow(row: Row): DeliveryOptions {
  const { rate_count: count, rate_seconds: seconds } = row
  const { batch_events_max: maxEvents, batch_wait_seconds: maxWaitSeconds } = row
  return {
    retryDelaysSeconds: row.retry_delays_seconds,
    inFlightMax: row.in_flight_max,
    rate: count === null || seconds === null ? null : { count, seconds },
    ordering: row.ordering as DeliveryOptions['ordering'],
    batching: maxEvents === null || maxWaitSeconds === null ? null : { maxEvents, maxWaitSeconds },
  }
}

/** Flat, as a statement takes its values. */
export function optionsToRow({
  retryDelaysSeconds,
  inFlightMax,
  rate,
  ordering,
  batching,
}: DeliveryOptions) {
  return {
    retryDelaysSeconds: retryDelaysSeconds && [...retryDelaysSeconds],
    inFlightMax,
    rateCount: rate?.count ?? null,
    rateSeconds: rate?.seconds ?? null,
    ordering,
    batchEventsMax: batching?.maxEvents ?? null,
    batchWaitSeconds: batching?.maxWaitSeconds ?? null,
  }
}

export function optionColumnsOf(a: ReturnType<typeof optionsToRow>) {
  return {
    retry_delays_seconds: a.retryDelaysSeconds,
    in_flight_max: a.inFlightMax,
    rate_count: a.rateCount,
    rate_seconds: a.rateSeconds,
    ordering: a.ordering,
    batch_events_max: a.batchEventsMax,
    batch_wait_seconds: a.batchWaitSeconds,
  }
}
