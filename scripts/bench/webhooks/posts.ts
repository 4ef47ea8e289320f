import { Agent, request } from 'undici'
import { answering } from '../child.ts'

/** Raw posts by undici, kept alive, fifty at once: no signature, nothing recorded. */
export interface Posts {
  urls: string[]
  body: string
  count: number
}

const concurrency = 50
const dispatcher = new Agent({ connections: concurrency })

answering<Posts>(async ({ urls, body, count }) => {
  const bytes = Buffer.from(body)
  let at = 0
  async function post(): Promise<void> {
    while (at < count) {
      const url = urls[at++ % urls.length] ?? ''
      const headers = { 'content-type': 'application/json' }
      const reply = await request(url, { dispatcher, method: 'POST', headers, body: bytes })
      await reply.body.dump()
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: concurrency }, post))
  return performance.now() - startMs
})
