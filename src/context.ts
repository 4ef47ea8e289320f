import type pg from 'pg'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Readers } from './db/readers.ts'
import type { Turns } from './db/turns.ts'
import type { Egress } from './egress/send.ts'
import type { Log } from './log.ts'
import type { Secrets } from './secrets/secrets.ts'

/** What a process can do, passed down from the doorstep: six capabilities and nothing else. */
export interface Context {
  readonly config: Config
  readonly db: Databases
  readonly egress: Egress
  readonly secrets: Secrets
  readonly log: Log
  readonly clock: Clock
}

/** The ways to Postgres: fenced reads, fenced transactions, and the worker's own pool. */
export interface Databases {
  /** The address, for connections that stand apart from the pools. */
  readonly url: string
  readonly readers: Readers
  readonly writers: pg.Pool
  /** Whose write is next at the writers' connections. */
  readonly turns: Turns
  readonly worker: pg.Pool
  /** One connection: claims take turns, and each connection would plan them anew. */
  readonly claims: pg.Pool
  /** Raised after a commit with events in it: the sequencer of this process need not wait. */
  readonly eventsCommitted: Signal
  /** Likewise with jobs in it, for the feeder. */
  readonly jobsCommitted: Signal
  /** Raised once events have their positions: whoever follows them in this process need not wait. */
  readonly eventsSequenced: Signal
}

/** Says that something happened, to whoever listens in this process. */
export interface Signal {
  raise(): void
  listen(listener: () => void): void
}
