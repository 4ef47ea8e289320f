import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import type { InboundScheme, IncomingRequest, SchemeContext, Verdict } from '#inbound/scheme.ts'
import { schemes } from '#inbound/schemes.ts'

export const now = new Date('2026-11-22T12:00:00Z')
export const nowSeconds = now.getTime() / 1000

export interface Sent {
  body: string | Buffer
  headers: Readonly<Record<string, string>>
  query?: string
}

/** A request as the room hands it to a scheme. */
export function requestOf({ body, headers, query = '' }: Sent): IncomingRequest {
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
  return {
    method: 'POST',
    headers: Object.fromEntries(lower),
    query: new URLSearchParams(query),
    body: Buffer.from(body),
  }
}

export function contextOf(changes: Partial<SchemeContext> = {}): SchemeContext {
  return { now, secrets: [], settings: {}, fetchKeys: fetchesNothing, ...changes }
}

async function fetchesNothing(url: string): Promise<never> {
  throw new Error(`Nothing is to be fetched, not even ${url}.`)
}

export function verdictOn(
  name: InboundScheme,
  sent: Sent,
  context: Partial<SchemeContext> = {},
): Promise<Verdict> {
  return schemes[name].verify(requestOf(sent), contextOf(context))
}

/** Fails with the verdict, unless it is an acceptance. */
export async function accepted(name: InboundScheme, sent: Sent, context: Partial<SchemeContext>) {
  const verdict = await verdictOn(name, sent, context)
  assert.equal(verdict.kind, 'accepted', JSON.stringify(verdict))
  if (verdict.kind !== 'accepted') throw new Error('The line above has thrown.')
  const { kind, ...rest } = verdict
  return rest
}

/** The reason of a refusal, or what the verdict was in its place. */
export async function reasonOf(
  name: InboundScheme,
  sent: Sent,
  context: Partial<SchemeContext> = {},
): Promise<string> {
  const verdict = await verdictOn(name, sent, context)
  return verdict.kind === 'refused' ? verdict.reason : verdict.kind
}

export function flipBit(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes)
  const at = bit % (bytes.length * 8)
  flipped[at >> 3] = (flipped[at >> 3] ?? 0) ^ (1 << (at & 7))
  return flipped
}

export interface Forgeable {
  name: InboundScheme
  sent: Sent
  context: Partial<SchemeContext>
  /** What the same context would be under a secret that was never the source's. */
  foreign: Partial<SchemeContext>
  /** Headers that the signature covers, or is. */
  covered: readonly string[]
  /** The body is not signed by this scheme; what is shown with it is. */
  isBodyFree?: boolean
}

/**
 * What every scheme owes: a request that was changed anywhere after it was signed is refused, and
 * the one that was not is accepted.
 */
export function refusesWhatWasChanged(forgeable: Forgeable): void {
  const { name, sent, context, foreign, covered } = forgeable
  const body = Buffer.from(sent.body)
  const isRefused = async (changed: Sent, under = context) =>
    (await verdictOn(name, changed, under)).kind === 'refused'

  test(`${name}: what was signed is accepted`, async () => {
    await accepted(name, sent, context)
  })

  if (!forgeable.isBodyFree) {
    test(`${name}: a body with one bit changed is refused, whichever it is`, async () => {
      const bits = fc.nat({ max: body.length * 8 - 1 })
      await fc.assert(
        fc.asyncProperty(bits, (bit) => isRefused({ ...sent, body: flipBit(body, bit) })),
      )
    })

    test(`${name}: a body that was parsed and written anew is refused`, async () => {
      const anew = JSON.stringify(JSON.parse(body.toString()), null, 1)
      assert.notEqual(anew, body.toString())
      assert.ok(await isRefused({ ...sent, body: anew }))
      assert.ok(await isRefused({ ...sent, body: `${body} ` }))
      assert.ok(await isRefused({ ...sent, body: '' }))
    })
  }

  for (const header of covered) {
    test(`${name}: ${header} with one character changed is refused, whichever it is`, async () => {
      const value = sent.headers[header] ?? ''
      const places = fc.record({ at: fc.nat({ max: value.length - 1 }), by: fc.constantFrom(1, 2) })
      await fc.assert(
        fc.asyncProperty(places, ({ at, by }) => {
          const other = String.fromCharCode(value.charCodeAt(at) ^ by)
          const changed = value.slice(0, at) + other + value.slice(at + 1)
          return isRefused({ ...sent, headers: { ...sent.headers, [header]: changed } })
        }),
      )
    })

    test(`${name}: a request without ${header} is refused`, async () => {
      const { [header]: _, ...others } = sent.headers
      assert.ok(await isRefused({ ...sent, headers: others }))
      assert.ok(await isRefused({ ...sent, headers: { ...others, [header]: '' } }))
    })
  }

  test(`${name}: a foreign secret, an empty one and none at all accept nothing`, async () => {
    assert.ok(await isRefused(sent, { ...context, ...foreign }))
    assert.ok(await isRefused(sent, { ...context, secrets: [''], settings: {} }))
    assert.ok(await isRefused(sent, { ...context, secrets: [], settings: {} }))
  })

  test(`${name}: nothing comes in by GET`, async () => {
    const request = { ...requestOf(sent), method: 'GET' as const }
    const verdict = await schemes[name].verify(request, contextOf(context))
    assert.equal(verdict.kind, 'refused')
  })

  test(`${name}: whatever the headers and bytes, the verdict is a refusal and never an error`, async () => {
    const headers = fc.record(
      Object.fromEntries(Object.keys(sent.headers).map((header) => [header, fc.string()])),
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(headers, fc.uint8Array(), async (some, bytes) =>
        isRefused({ headers: some as Record<string, string>, body: Buffer.from(bytes) }),
      ),
    )
  })

  test(`${name}: a setting that it does not know is told by its field`, () => {
    const { secrets = [], settings = {} } = context
    const flaws = (more: object) =>
      schemes[name].flaws({ secrets, settings: { ...settings, ...more } })
    assert.deepEqual(flaws({}), [])
    assert.deepEqual(
      flaws({ tollerance: 1 }).map(({ pointer }) => pointer),
      ['/settings/tollerance'],
    )
  })
}
