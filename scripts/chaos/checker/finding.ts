import type { Deed } from '../deed.ts'
import type { Watched } from '../receivers.ts'

/**
 * LOST: something acknowledged is not there, or was not told. DOUBLED: something is there, or was
 * told, more often than it may be. BROKEN: what is there does not fit together.
 */
export interface Finding {
  kind: 'LOST' | 'DOUBLED' | 'BROKEN'
  what: string
  /** The thing that it was found at. */
  where: string
}

/** What callers and receivers know, to be held against what the database says. */
export interface Ledger {
  tenantIds: readonly string[]
  deeds: readonly Deed[]
  /** What was done to endpoints meanwhile. */
  changes: readonly Deed[]
  endpoints: readonly Watched[]
}

/** Reads as one who sees all tenants. */
export type Query = <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>

export type Report = (kind: Finding['kind'], what: string, where: string) => void
