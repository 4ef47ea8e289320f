import type { Databases, Signal } from '#context.ts'
import type { Log } from '#log.ts'
import { createPool } from './pool.ts'
import { createReaders } from './readers.ts'
import { createTurns } from './turns.ts'

/** Connections of one process: reads share a few, each write has one of its own while it lasts. */
const connections = { readers: 3, writers: 16, worker: 8, claims: 1 }

/** How tenants share the writers' connections; nobody waits for one longer than for a lock. */
const sharing = { perTenant: 12, waitingPerTenant: 128, patienceMs: 5_000 }

/** Opens the ways to Postgres; nothing is connected before it is used. */
export function openDatabases(
  databaseUrl: string,
  log: Log,
): Databases & { close(): Promise<void> } {
  const readers = createReaders(databaseUrl, connections.readers, log)
  const writers = createPool(databaseUrl, 'ubos_api', connections.writers, { log })
  const turns = createTurns({ places: connections.writers, ...sharing })
  const worker = createPool(databaseUrl, 'ubos_worker', connections.worker, { log })
  const claims = createPool(databaseUrl, 'ubos_worker', connections.claims, { log })
  return {
    url: databaseUrl,
    readers,
    writers,
    turns,
    worker,
    claims,
    eventsCommitted: createSignal(),
    jobsCommitted: createSignal(),
    eventsSequenced: createSignal(),
    async close() {
      await Promise.allSettled([readers.close(), writers.end(), worker.end(), claims.end()])
    },
  }
}

function createSignal(): Signal {
  const listeners: (() => void)[] = []
  return {
    raise() {
      for (const listener of listeners) listener()
    },
    listen: (listener) => void listeners.push(listener),
  }
}
