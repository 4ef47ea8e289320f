import type pg from 'pg'

/*
 * A server ends what takes too long by itself, and says so: `statement_timeout`. One that was cut off
 * or frozen says nothing at all, and TCP takes a quarter of an hour to notice. So a connection on
 * which an answer is owed, and nothing has come for longer than any statement may take, is destroyed,
 * and all that waited on it fails. (`query_timeout` would count the wait in a shared pipeline, too,
 * and end what is merely behind something slow.)
 */

/** What `pg` has under a client; the stream is another one once it is encrypted. */
export interface Owing {
  once(event: string, listener: () => void): void
  stream: { destroy(error: Error): void; bytesRead: number; bytesWritten: number }
}

interface Watched {
  /** For how long an answer has been owed in silence. */
  silentMs: number
  hangUp(): void
}

const lookEveryMs = 500

/** The connections to each server. What one finds out is true for those beside it. */
const watchedAt = new Map<string, Set<Watched>>()

/**
 * Hangs up when an answer has been owed for so long, and with it on all that have waited as long for
 * the same server, however patient they are. Looks now and then instead of at each query. Time is
 * counted by looks, so that a process that was stopped itself does not take its own silence for the
 * server's.
 */
export function watchSilence(client: pg.Client, connection: Owing, silenceMsMax: number): void {
  let heardBytes = 0
  let settledBytes = 0
  const settle = () => {
    settledBytes = connection.stream.bytesWritten
  }
  // Before `pg` hears of it, which may ask at once; and whenever all that was asked is answered.
  connection.once('readyForQuery', settle)
  client.on('drain', settle)

  const watched: Watched = {
    silentMs: 0,
    hangUp() {
      connection.stream.destroy(new Error('Connection terminated: the server is silent'))
    },
  }
  const server = `${client.host}:${client.port}`
  const others = watchedAt.get(server) ?? new Set()
  watchedAt.set(server, others.add(watched))

  const looking = setInterval(() => {
    const { bytesRead, bytesWritten } = connection.stream
    const isOwed = bytesWritten > settledBytes && bytesRead === heardBytes
    heardBytes = bytesRead
    watched.silentMs = isOwed ? watched.silentMs + lookEveryMs : 0
    if (watched.silentMs < silenceMsMax) return
    for (const other of others) if (other.silentMs >= silenceMsMax) other.hangUp()
  }, lookEveryMs)
  looking.unref()
  client.once('end', () => {
    clearInterval(looking)
    others.delete(watched)
  })
}
