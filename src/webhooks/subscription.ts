import { selects, straySelectors } from '#events/selector.ts'
import { problem } from '#http/problem.ts'
import { type Filter, judgeFilter, obstacleIn } from './filter.ts'

/** What an endpoint is told: events of these types that say this. */
export interface Subscription {
  eventTypes: readonly string[]
  filter: Filter
}

/** What is asked for must be there to be asked for, and make sense (`invalid_request`). */
export function requireSense(
  { eventTypes = [], filter = [] }: Partial<Subscription>,
  knownTypes: readonly string[],
): void {
  const errors = [...straySelectors(eventTypes, knownTypes), ...judgeFilter(filter, 'filter')]
  const [first] = errors
  if (first === undefined) return
  throw problem('invalid_request', { detail: `${first.pointer} ${first.message}.`, errors })
}

/** What keeps an event back, as a pointer into the subscription; null when it is told. */
export function obstacleTo(
  { eventTypes, filter }: Subscription,
  type: string,
  event: unknown,
): string | null {
  if (!selects(eventTypes, type)) return '/eventTypes'
  const obstacle = obstacleIn(filter, event)
  return obstacle === undefined ? null : `/filter${obstacle}`
}
