import type { Context } from '#context.ts'
import type { FetchText } from './scheme.ts'

/**
 * Public keys of third parties, by which schemes verify: fetched through guarded egress, kept in the
 * memory of each process. Requests from outside cause these fetches, so that they are bounded in
 * every way: one at a time for each address, a few at once over all, none again soon after a failure,
 * and asking anew helps only once what is known has some age.
 */
export const keysFreshMs = 10 * 60 * 1000

/** While a third party is away its last keys are good for so long. */
export const keysKeptMs = 24 * 60 * 60 * 1000

/** Whoever names keys that do not exist has them asked for no more often than this. */
export const keysAnewMs = 30 * 1000

/** After a failure nothing is asked for so long. */
export const keysRestMs = 5 * 1000

const keptMax = 1_000
const atOnceMax = 20

/** Slack, QuickBooks and Microsoft Graph wait three seconds for an answer in all. */
const deadlineMs = 2_500
const bytesMax = 256 * 1024

interface Kept {
  text: string
  fetchedAt: number
}

export function createFetchText({ egress, clock }: Pick<Context, 'egress' | 'clock'>): FetchText {
  const kept = new Map<string, Kept>()
  const failures = new Map<string, number>()
  const underWay = new Map<string, Promise<string>>()

  async function request(url: string): Promise<string> {
    const outcome = await egress.send({
      method: 'GET',
      url,
      // One memory for all: whoever asks for a tenant has asked its policy.
      allowedHosts: null,
      headers: { accept: 'application/json, text/plain;q=0.9, */*;q=0.1' },
      body: Buffer.alloc(0),
      deadlineMs,
      connectMs: deadlineMs,
      responseBytesMax: bytesMax,
      isRepeatable: true,
      lane: 'public-keys',
    })
    if (outcome.kind === 'failed') throw new Error(`Keys were not to be had: ${outcome.reason}.`)
    if (outcome.status !== 200) throw new Error(`Keys were answered with ${outcome.status}.`)
    if (outcome.isTruncated) throw new Error('Keys are longer than is read.')
    return outcome.body.toString()
  }

  function fetchOnce(url: string): Promise<string> {
    const known = underWay.get(url)
    if (known) return known
    const restedMs = clock.now().getTime() - (failures.get(url) ?? -Infinity)
    if (restedMs < keysRestMs) throw new Error('Keys were not to be had a moment ago.')
    if (underWay.size >= atOnceMax) throw new Error('Too many keys are asked for at once.')
    const asked = request(url)
      .then((text) => {
        failures.delete(url)
        put(kept, url, { text, fetchedAt: clock.now().getTime() })
        return text
      })
      .catch((error) => {
        put(failures, url, clock.now().getTime())
        throw error
      })
      .finally(() => underWay.delete(url))
    underWay.set(url, asked)
    return asked
  }

  return async (url, wish) => {
    const known = kept.get(url)
    const ageMs = known ? clock.now().getTime() - known.fetchedAt : Infinity
    if (known && ageMs < (wish?.isAnew ? keysAnewMs : keysFreshMs)) return known.text
    try {
      return await fetchOnce(url)
    } catch (error) {
      // A key that is missing may be among those that cannot be had: then nothing is known of it.
      if (known && !wish?.isAnew && ageMs < keysKeptMs) return known.text
      throw error
    }
  }
}

/** The oldest goes when there are too many. */
function put<Value>(map: Map<string, Value>, url: string, value: Value): void {
  map.delete(url)
  map.set(url, value)
  const [oldest] = map.keys()
  if (map.size > keptMax && oldest !== undefined) map.delete(oldest)
}
