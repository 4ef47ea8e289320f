import type { Context } from '#context.ts'
import type { FetchKeys } from './scheme.ts'

/**
 * Public keys of third parties, by which schemes verify: fetched through guarded egress, kept in the
 * memory of each process, and read once. Requests from outside cause these fetches, and tenants say
 * where many of them lie, so that they are bounded in every way: one at a time for each address, a few
 * at once for a tenant, none again soon after a failure, and asking anew helps only once what is known
 * has some age. Each tenant has a *shelf* of its own, and so have the addresses that providers publish
 * at: what one tenant has fetched pushes out nobody else's.
 */
export const keysFreshMs = 10 * 60 * 1000

/** While a third party is away its last keys are good for so long. */
export const keysKeptMs = 24 * 60 * 60 * 1000

/** Whoever names keys that do not exist has them asked for no more often than this. */
export const keysAnewMs = 30 * 1000

/** After a failure nothing is asked for so long. */
export const keysRestMs = 5 * 1000

export interface KeysLimits {
  /** Addresses on a tenant's shelf: as many as it may have sources. */
  shelfMax: number
  /** Requests of one tenant, and of all tenants, at once. */
  tenantAtOnceMax: number
  atOnceMax: number
  /** What lies on all shelves of tenants; beyond it the fullest shelf gives way. */
  bytesMax: number
}

const usualLimits: KeysLimits = {
  shelfMax: 100,
  tenantAtOnceMax: 2,
  atOnceMax: 20,
  bytesMax: 64 * 1024 * 1024,
}

const shelvesMax = 10_000

/** Slack, QuickBooks and Microsoft Graph wait three seconds for an answer in all. */
const deadlineMs = 2_500
const textBytesMax = 256 * 1024

type Read<Keys> = (text: string) => Keys

interface Kept {
  text: string
  /** What was made of the text, by what made it. */
  readings: Map<Read<unknown>, unknown>
  fetchedAt: number
}

interface Shelf {
  kept: Map<string, Kept>
  /** When an address last failed. */
  failures: Map<string, number>
  underWay: Map<string, Promise<Kept>>
}

/** Answers, for each tenant, how its keys are fetched. `providerUrls` are no tenant's to choose. */
export function createFetchKeys(
  { egress, clock }: Pick<Context, 'egress' | 'clock'>,
  providerUrls: ReadonlySet<string>,
  limits: KeysLimits = usualLimits,
): (tenantId: string) => FetchKeys {
  const ofProviders = newShelf()
  const shelves = new Map<string, Shelf>()
  let askedByTenants = 0

  async function request(url: string): Promise<string> {
    const outcome = await egress.send({
      method: 'GET',
      url,
      // Whoever asks for a tenant has asked its policy.
      allowedHosts: null,
      headers: { accept: 'application/json, text/plain;q=0.9, */*;q=0.1' },
      body: Buffer.alloc(0),
      deadlineMs,
      connectMs: deadlineMs,
      responseBytesMax: textBytesMax,
      isRepeatable: true,
      lane: 'public-keys',
    })
    if (outcome.kind === 'failed') throw new Error(`Keys were not to be had: ${outcome.reason}.`)
    if (outcome.status !== 200) throw new Error(`Keys were answered with ${outcome.status}.`)
    if (outcome.isTruncated) throw new Error('Keys are longer than is read.')
    return outcome.body.toString()
  }

  async function fetchOnto(shelf: Shelf, url: string): Promise<Kept> {
    try {
      const text = await request(url)
      const kept = { text, readings: new Map(), fetchedAt: clock.now().getTime() }
      shelf.failures.delete(url)
      put(shelf.kept, url, kept, limits.shelfMax)
      makeRoom(shelves.values(), limits.bytesMax)
      return kept
    } catch (error) {
      put(shelf.failures, url, clock.now().getTime(), limits.shelfMax)
      throw error
    }
  }

  function fetchOnce(shelf: Shelf, url: string): Promise<Kept> {
    const { underWay, failures } = shelf
    const known = underWay.get(url)
    if (known) return known
    const restedMs = clock.now().getTime() - (failures.get(url) ?? -Infinity)
    if (restedMs < keysRestMs) throw new Error('Keys were not to be had a moment ago.')
    const share = shelf === ofProviders ? 0 : 1
    const isFull = underWay.size >= limits.tenantAtOnceMax || askedByTenants >= limits.atOnceMax
    if (share > 0 && isFull) throw new Error('Too many keys are asked for at once.')
    askedByTenants += share
    const asked = fetchOnto(shelf, url).finally(() => {
      askedByTenants -= share
      underWay.delete(url)
    })
    underWay.set(url, asked)
    return asked
  }

  async function have(shelf: Shelf, url: string, isAnew: boolean): Promise<Kept> {
    const known = shelf.kept.get(url)
    const ageMs = known ? clock.now().getTime() - known.fetchedAt : Infinity
    if (known && ageMs < (isAnew ? keysAnewMs : keysFreshMs)) return known
    try {
      return await fetchOnce(shelf, url)
    } catch (error) {
      // A key that is missing may be among those that cannot be had: then nothing is known of it.
      if (known && !isAnew && ageMs < keysKeptMs) return known
      throw error
    }
  }

  function shelfOf(tenantId: string): Shelf {
    const shelf = shelves.get(tenantId) ?? newShelf()
    if (!shelves.has(tenantId)) put(shelves, tenantId, shelf, shelvesMax)
    return shelf
  }

  return (tenantId) => async (url, read, wish) => {
    const shelf = providerUrls.has(url) ? ofProviders : shelfOf(tenantId)
    return reading(await have(shelf, url, wish?.isAnew ?? false), read)
  }
}

function newShelf(): Shelf {
  return { kept: new Map(), failures: new Map(), underWay: new Map() }
}

function reading<Keys>({ text, readings }: Kept, read: Read<Keys>): Keys {
  if (!readings.has(read)) readings.set(read, read(text))
  return readings.get(read) as Keys
}

/** The oldest goes when there are too many. */
function put<Value>(map: Map<string, Value>, name: string, value: Value, most: number): void {
  map.delete(name)
  map.set(name, value)
  const [oldest] = map.keys()
  if (map.size > most && oldest !== undefined) map.delete(oldest)
}

/** From the fullest shelf goes what is oldest, until all of them together hold no more than they may. */
function makeRoom(shelves: Iterable<Shelf>, most: number): void {
  const sizes = new Map([...shelves].map((shelf) => [shelf, bytesOn(shelf)]))
  let sum = [...sizes.values()].reduce((total, bytes) => total + bytes, 0)
  while (sum > most) {
    const [fullest, bytes] = [...sizes].reduce((one, other) => (other[1] > one[1] ? other : one))
    const [oldest] = fullest.kept.keys()
    if (oldest === undefined) return
    fullest.kept.delete(oldest)
    sizes.set(fullest, bytesOn(fullest))
    sum -= bytes - bytesOn(fullest)
  }
}

/** Two for each character, as the worst of texts has it, and what is about it. */
function bytesOn({ kept }: Shelf): number {
  return [...kept.values()].reduce((sum, { text }) => sum + 2 * text.length + 1_024, 0)
}
