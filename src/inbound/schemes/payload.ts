import { measure } from '#http/json.ts'
import type { IncomingRequest } from '../scheme.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The value that the bytes are JSON of, or undefined when they are not. */
export function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch {
    return undefined
  }
}

/** What is read before it is known who sent it may be no deeper, and have no more values, than this. */
const strangers = { depthMax: 64, valuesMax: 10_000 }

/** The same for what anybody may have sent: undefined also for JSON that would take long to read. */
export function readStrangersJson(bytes: Buffer): unknown {
  const { depth, commas } = measure(bytes)
  const isLight = depth <= strangers.depthMax && commas < strangers.valuesMax
  return isLight ? readJson(bytes) : undefined
}

export type Members = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What lies under the names, one within the other; undefined when there is nothing. */
export function valueAt(value: unknown, ...names: readonly string[]): unknown {
  let found = value
  for (const name of names) {
    const isContainer = typeof found === 'object' && found !== null
    if (!isContainer || !Object.hasOwn(found as object, name)) return undefined
    found = (found as Members)[name]
  }
  return found
}

export const nameLengthMax = 255

/**
 * An id or a type as others write it, or null when it cannot be one: empty, longer than is kept, or
 * with characters that no name has and no row takes. Providers that number their events are heard too.
 */
export function nameOf(value: unknown): string | null {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value !== 'string' || value.length > nameLengthMax) return null
  return /^[^\p{C}]+$/u.test(value) ? value : null
}

/** The one name of all, or null when they differ, one has none, or there are none. */
export function commonName(names: readonly (string | null)[]): string | null {
  const [first = null] = names
  return names.every((name) => name === first) ? first : null
}

export function isJsonType(contentType: string | undefined): boolean {
  const [media = ''] = (contentType ?? '').split(';')
  return /^(application|text)\/([\w.-]+\+)?json$/i.test(media.trim())
}

/** Schemes that promise no form of payload are held to what the request says of itself. */
export function isOtherThanItSays({ headers, body }: IncomingRequest): boolean {
  return isJsonType(headers['content-type']) && readJson(body) === undefined
}
