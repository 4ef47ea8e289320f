import type { Selectable } from 'kysely'
import type { Tables } from '#generated/tables.ts'
import type { DeliveryOptions } from './options.ts'

/** The columns of an endpoint that say how it wants to be told. */
export const optionColumns = ['retry_delays_seconds'] as const

type Row = Pick<Selectable<Tables['webhook_endpoint']>, (typeof optionColumns)[number]>

export function optionsFromRow(row: Row): DeliveryOptions {
  return { retryDelaysSeconds: row.retry_delays_seconds }
}

/** Flat, as a statement takes its values. */
export function optionsToRow({ retryDelaysSeconds }: DeliveryOptions) {
  return { retryDelaysSeconds: retryDelaysSeconds && [...retryDelaysSeconds] }
}

export function optionColumnsOf(a: ReturnType<typeof optionsToRow>) {
  return { retry_delays_seconds: a.retryDelaysSeconds }
}
