import { createServer, type Socket } from 'node:net'
import { answering, sharedMs } from '../child.ts'

/*
 * A receiver that costs as little as one can: it looks at no more than the request line and the
 * length, and answers 204 on the raw socket. What is posted to a path with `hang` in it is never answered.
 */
const reply = Buffer.from('HTTP/1.1 204 No Content\r\n\r\n')
const length = /content-length: *(\d+)/i

/** Healthy requests so far, and when they came by path, for paths that ask for it. */
let count = 0
let hung = 0
const arrivals: Record<string, number[]> = {}

const server = createServer({ noDelay: true }, (socket) => {
  let buffered: Buffer = Buffer.alloc(0)
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk])
    for (let end = endOfRequest(buffered); end > 0; end = endOfRequest(buffered)) {
      take(socket, buffered.toString('latin1', 0, Math.min(end, 64)))
      buffered = buffered.subarray(end)
    }
  })
})

function endOfRequest(bytes: Buffer): number {
  const head = bytes.indexOf('\r\n\r\n')
  if (head < 0) return 0
  const end = head + 4 + Number(length.exec(bytes.toString('latin1', 0, head))?.[1] ?? 0)
  return end <= bytes.length ? end : 0
}

function take(socket: Socket, start: string): void {
  const path = start.split(' ')[1] ?? ''
  if (path.includes('hang')) {
    hung += 1
    return
  }
  socket.write(reply)
  if (path.includes('timed')) {
    arrivals[path] ??= []
    arrivals[path].push(sharedMs())
    return
  }
  count += 1
}

interface Question {
  ask: 'port' | 'reset' | 'counts' | 'arrivals'
}

server.listen(0, '127.0.0.1', () =>
  answering<Question>(async (question) => {
    if (question.ask === 'port') return (server.address() as { port: number }).port
    if (question.ask === 'arrivals') return arrivals
    if (question.ask === 'counts') return { count, hung }
    count = 0
    hung = 0
    for (const path of Object.keys(arrivals)) delete arrivals[path]
    return null
  }),
)
