import pg from 'pg'

/**
 * A client that never gives its password away: a server that asks for it in the clear, on a
 * connection that is not encrypted, is not ours. (Whoever takes the port of a crashed server could
 * ask.) By SCRAM the server proves that it knows the password, too.
 */
export class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    if (this.ssl) return
    // `pg` adds its own listener when it connects, so this one comes first.
    const { connection } = this as unknown as { connection: Connection }
    connection.on('authenticationCleartextPassword', () => {
      Object.assign(this, { password: '' })
      connection.stream.destroy(new Error('the server asked for the password in the clear'))
    })
  }
}

interface Connection {
  on(event: string, listener: () => void): void
  stream: { destroy(error: Error): void }
}
