import { reasonOf } from './webhook.ts'

/** The API said no, or nothing at all; the message is for whoever runs the program. */
export class ApiRefused extends Error {
  override readonly name: string = 'ApiRefused'
  readonly status: number | undefined
  /** When to ask again, where it says so. */
  readonly retryAfterMs: number | undefined
  constructor(message: string, status?: number, retryAfterMs?: number) {
    super(message)
    this.status = status
    this.retryAfterMs = retryAfterMs
  }

  /** Whether it will be the same however often one asks. */
  isFinal(): boolean {
    return this.status !== undefined && this.status < 500 && this.status !== 429
  }
}

export interface Api {
  /** Answers the parsed body of a 2xx; throws `ApiRefused`. */
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>
  /** Opens the stream of events behind a position; throws `ApiRefused`. */
  stream(after: number | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>
}

/** How long an answer may take; a stream has begun by then. */
const patienceMs = 15_000

export function apiAt(base: string, key: string): Api {
  async function ask(path: string, init: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) }
    let response: Response
    try {
      response = await fetch(`${base}/api/v1${path}`, { ...init, headers, redirect: 'error' })
    } catch (error) {
      throw new ApiRefused(
        `Nothing answers at ${base}: ${reasonOf(error)}. Is it started? See --api.`,
      )
    }
    if (response.ok) return response
    throw await refusalOf(response)
  }

  return {
    async call(method, path, body) {
      const response = await ask(path, {
        method,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(patienceMs),
      })
      return (await response.json()) as Record<string, unknown>
    },
    async stream(after, signal) {
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(), patienceMs)
      const from = after === undefined ? {} : { 'last-event-id': String(after) }
      try {
        const { body } = await ask('/events/stream', {
          headers: { accept: 'text/event-stream', ...from },
          signal: AbortSignal.any([signal, late.signal]),
        })
        if (body === null) throw new ApiRefused(`${base} answers without a stream.`)
        return body
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

async function refusalOf(response: Response): Promise<ApiRefused> {
  const text = await response.text().catch(() => '')
  const { detail, title, code } = problemIn(text)
  const wait = Number(response.headers.get('retry-after') ?? Number.NaN)
  const said = `${response.status}${code ? ` ${code}` : ''}: ${detail ?? title ?? 'no reason given'}`
  const hint = response.status === 401 ? ' Look at UBOS_API_KEY, or --key-file.' : ''
  return new ApiRefused(
    `The API refuses, ${said}${hint}`,
    response.status,
    Number.isFinite(wait) ? wait * 1_000 : undefined,
  )
}

function problemIn(text: string): { detail?: string; title?: string; code?: string } {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}
