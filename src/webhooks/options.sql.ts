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
] as const

type Row = Pick<Selectable<Tables['webhook_endpoint']>, (typeof optionColumns)[number]>

export function optionsFromRow(row: Row): DeliveryOptions {
  const { rate_count: count, rate_seconds: seconds } = row
  return {
    retryDelaysSeconds: row.retry_delays_seconds,
    inFlightMax: row.in_flight_max,
    rate: count === null || seconds === null ? null : { count, seconds },
    ordering: row.ordering as DeliveryOptions['ordering'],
  }
}

/** Flat, as a statement takes its values. */
export function optionsToRow({ retryDelaysSeconds, inFlightMax, rate, ordering }: DeliveryOptions) {
  return {
    retryDelaysSeconds: retryDelaysSeconds && [...retryDelaysSeconds],
    inFlightMax,
    rateCount: rate?.count ?? null,
    rateSeconds: rate?.seconds ?? null,
    ordering,
  }
}

export function optionColumnsOf(a: ReturnType<typeof optionsToRow>) {
  return {
    retry_delays_seconds: a.retryDelaysSeconds,
    in_flight_max: a.inFlightMax,
    rate_count: a.rateCount,
    rate_seconds: a.rateSeconds,
    ordering: a.ordering,
  }
}
