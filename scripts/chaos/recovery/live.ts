import type { UrlFor } from '../tenant.ts'

/** What goes on while others recover: a payment now and then, and when its endpoint hears of it. */
export interface Live {
  heard(correlationId: string): void
  /** From the reply of each call to its webhook, in ms, of calls between two moments. */
  waitsOf(fromMs: number, toMs: number, isLeftOut?: (atMs: number) => boolean): number[]
  stop(): Promise<void>
}

const apartMs = 50

export function startLive(urlFor: UrlFor, key: string): Live {
  const replied = new Map<string, number>()
  const heard = new Map<string, number>()
  let isOver = false

  async function pay(count: number): Promise<void> {
    const id = `live-${count}`
    const reply = await fetch(`${urlFor(count)}/api/v1/payments`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': id,
        'x-correlation-id': id,
      },
      body: JSON.stringify({ amount: 1, currency: 'EUR' }),
      signal: AbortSignal.timeout(5_000),
    })
    await reply.arrayBuffer()
    if (reply.status === 201) replied.set(id, performance.now())
  }

  async function live(): Promise<void> {
    for (let count = 0; !isOver; count += 1) {
      // Who dies meanwhile answers nothing, and is not what is measured.
      await pay(count).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, apartMs))
    }
  }

  const living = live()
  return {
    heard(correlationId) {
      if (!heard.has(correlationId)) heard.set(correlationId, performance.now())
    },
    waitsOf(fromMs, toMs, isLeftOut = () => false) {
      return [...replied].flatMap(([id, atMs]) => {
        if (atMs < fromMs || atMs > toMs || isLeftOut(atMs)) return []
        return [Math.max(0, (heard.get(id) ?? Number.POSITIVE_INFINITY) - atMs)]
      })
    },
    async stop() {
      isOver = true
      await living
    },
  }
}
