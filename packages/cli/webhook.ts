import { createHmac, randomBytes } from 'node:crypto'

/** An event as a webhook carries it: an id, and the very bytes. */
export interface Outgoing {
  readonly id: string
  readonly body: string
}

export interface Sent {
  /** Undefined where nobody answered. */
  readonly status: number | undefined
  /** Why nobody did. */
  readonly error: string | undefined
  readonly ms: number
}

/** As long as a delivery may take. */
const deadlineMs = 15_000

export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`
}

/** Posts it as a delivery is: by Standard Webhooks, and `X-UBOS-Signature`. */
export async function post(url: string, secret: string, outgoing: Outgoing): Promise<Sent> {
  const startedMs = performance.now()
  const took = () => Math.round(performance.now() - startedMs)
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'UBOS-Webhooks/1',
        ...signaturesOf(secret, outgoing, Math.floor(Date.now() / 1_000)),
      },
      body: outgoing.body,
      redirect: 'manual',
      signal: AbortSignal.timeout(deadlineMs),
    })
    await response.body?.cancel()
    return { status: response.status, error: undefined, ms: took() }
  } catch (error) {
    return { status: undefined, error: reasonOf(error), ms: took() }
  }
}

function signaturesOf(secret: string, { id, body }: Outgoing, seconds: number) {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
    'x-ubos-signature': createHmac('sha256', secret).update(body).digest('hex'),
  }
}

/** Why a request got no answer, in a few words. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time'
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const { code, message } = Object(cause) as { code?: string; message?: string }
  return (code && words[code]) ?? code ?? message ?? 'no answer'
}

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'no such host',
  ECONNRESET: 'connection broken off',
  UND_ERR_SOCKET: 'connection broken off',
}
