import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * Stands between a process and Postgres and passes everything on, until it is told to lose an
 * answer: then it cuts the connection at the moment at which Postgres says that it has committed.
 */
export async function startLossyProxy(databaseUrl: string) {
  const upstream = new URL(databaseUrl)
  const open = new Set<Socket>()
  let mark: string | undefined
  let sign = ''
  let lost = 0

  const server = createServer((near) => {
    const far = connect(Number(upstream.port), upstream.hostname)
    let isMarked = false
    near.on('data', (bytes) => {
      if (mark !== undefined && bytes.includes(mark)) isMarked = true
      far.write(bytes)
    })
    far.on('data', (bytes) => {
      const isIt = isMarked && bytes.includes('COMMIT\0') && bytes.includes(sign)
      if (!isIt || mark === undefined) return near.write(bytes)
      mark = undefined
      lost += 1
      near.destroy()
      return far.destroy()
    })
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      open.add(one)
      one.on('error', () => undefined)
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: Object.assign(new URL(databaseUrl), { host: `127.0.0.1:${port}` }).href,
    /** The next answer to a commit, on a connection that sent `text`, is lost, if `answer` is in it. */
    loseAfter(text: string, answer = '') {
      mark = text
      sign = answer
    },
    lost: () => lost,
    stop() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}
