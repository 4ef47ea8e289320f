import { Agent, type Dispatcher, request } from 'undici'
import type { Answer, Deed } from './deed.ts'

/** Where the callers ask, and with what. */
export interface Door {
  /** An API that is thought to answer; another one for the next try. */
  urlFor(attempt: number): string
  keyOf(tenantId: string): string
  /** Told of every answer, and of 0 for none. */
  note(status: number): void
}

export interface Callers {
  /** Asks until the deed is done or refused, as a well-behaved client does. */
  ask(deed: Deed): Promise<void>
  /** Reads until there is an answer. */
  // biome-ignore lint/suspicious/noExplicitAny: a reply, read as a script would
  read(tenantId: string, path: string): Promise<any>
  close(): Promise<void>
}

/** Longer than the API itself waits for anything. */
const patienceMs = 12_000
const restMs = { first: 50, most: 1_000 }

/** Answers after which the same request is sent again, under its key. */
const passing = new Set([0, 429, 500, 502, 503])

export function createCallers(door: Door, connections: number): Callers {
  const dispatcher = new Agent({
    connections,
    ...{ headersTimeout: patienceMs, bodyTimeout: patienceMs, connectTimeout: 2_000 },
  })

  async function ask(deed: Deed): Promise<void> {
    const asked = Array.from({ length: deed.isTwice ? 2 : 1 }, () => askOn(deed))
    await Promise.all(asked)
  }

  async function read(tenantId: string, path: string) {
    for (let attempt = 0; ; attempt += 1) {
      const request = { key: '', correlationId: '', tenantId, method: 'GET', path } as const
      const { status, body } = await send(door, dispatcher, request, attempt)
      if (status === 200) return JSON.parse(body)
      if (!passing.has(status)) throw new Error(`GET ${path}: ${status} ${body}`)
      await new Promise((resolve) => setTimeout(resolve, restMs.most / 4))
    }
  }

  async function askOn(deed: Deed): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const { status, body, waitMs } = await send(door, dispatcher, deed, attempt)
      door.note(status)
      const isPassing = passing.has(status) || isInProgress(status, body)
      if (!isPassing) return conclude(deed, { status, body })
      if (deed.isAbandoned) return abandon(deed)
      const restedMs = Math.min(restMs.first * 2 ** attempt, restMs.most)
      await new Promise((resolve) => setTimeout(resolve, Math.max(waitMs, restedMs)))
    }
  }

  return { ask, read, close: () => dispatcher.destroy() }
}

/** Another request under the same key is being worked on. */
function isInProgress(status: number, body: string): boolean {
  return status === 409 && body.includes('"idempotency_in_progress"')
}

function conclude(deed: Deed, answer: Answer): void {
  if (answer.status >= 300) {
    if (deed.state === 'ASKED') Object.assign(deed, { state: 'REFUSED', answer })
    // Of two at once one may come while something is in the way, and the other after that.
    else if (!deed.mayBeRefused) deed.contradictions += 1
    return
  }
  const isFirst = deed.answer === undefined || (deed.mayBeRefused && deed.state === 'REFUSED')
  if (isFirst) deed.answer = answer
  else if (deed.answer?.body !== answer.body) deed.contradictions += 1
  deed.state = 'ACKNOWLEDGED'
}

function abandon(deed: Deed): void {
  if (deed.state === 'ASKED') deed.state = 'ABANDONED'
}

type Request = Pick<Deed, 'key' | 'correlationId' | 'tenantId' | 'path'> & {
  method: Deed['method'] | 'GET'
  body?: string | undefined
}

/** One request; status 0 when no answer came. */
async function send(
  door: Door,
  dispatcher: Dispatcher,
  { key, correlationId, tenantId, method, path, body: sent }: Request,
  attempt: number,
): Promise<Answer & { waitMs: number }> {
  try {
    const { statusCode, headers, body } = await request(`${door.urlFor(attempt)}/api/v1${path}`, {
      dispatcher,
      method,
      headers: {
        authorization: `Bearer ${door.keyOf(tenantId)}`,
        ...(method === 'GET' ? {} : { 'idempotency-key': key, 'x-correlation-id': correlationId }),
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: sent ?? null,
    })
    const waitMs = Number(headers['retry-after'] ?? 0) * 1_000
    return { status: statusCode, body: await body.text(), waitMs }
  } catch {
    return { status: 0, body: '', waitMs: 0 }
  }
}
