import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * Stands between a process and Postgres and passes everything on, until it is told to lose an
 * answer: then it cuts the connection at the moment at which Postgres says that it has committed.
 * Or it falls silent, as a network does that is cut: connections stay open and nothing comes through;
 * those of before stay so when it speaks again.
 */
export async function startLossyProxy(databaseUrl: string, at = 0) {
  const upstream = new URL(databaseUrl)
  const open = new Set<Socket>()
  let mark: string | undefined
  let sign = ''
  let lost = 0
  let isSilent = false
  const cutOff = new Set<Socket>()
  let isDelayed = false
  const delayed = new Set<Socket>()

  const server = createServer((near) => {
    const far = connect(Number(upstream.port), upstream.hostname)
    let isMarked = false
    let isSigned = false
    if (isSilent) cutOff.add(near)
    if (isDelayed) delayed.add(near.pause())
    near.on('data', (bytes) => {
      if (cutOff.has(near)) return
      if (mark !== undefined && bytes.includes(mark)) isMarked = true
      far.write(bytes)
    })
    far.on('data', (bytes) => {
      if (cutOff.has(near)) return
      // An answer may come in pieces, and its commit in the last.
      isSigned ||= isMarked && bytes.includes(sign)
      const isCommit = isMarked && bytes.includes('COMMIT\0')
      if (!isCommit || !isSigned || mark === undefined) {
        if (isCommit) isSigned = false
        return near.write(bytes)
      }
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
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: Object.assign(new URL(databaseUrl), { host: `127.0.0.1:${port}` }).href,
    /** The next answer to a commit, on a connection that sent `text`, is lost, if `answer` is in it. */
    loseAfter(text: string, answer = '') {
      mark = text
      sign = answer
    },
    lost: () => lost,
    /** While it delays, nothing passes on new connections; then all does. */
    delay(isOn: boolean) {
      isDelayed = isOn
      if (isOn) return
      for (const socket of delayed) socket.resume()
      delayed.clear()
    },
    fallSilent() {
      isSilent = true
      for (const socket of open) cutOff.add(socket)
    },
    speak() {
      isSilent = false
    },
    stop() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}
