import type { Api } from './api.ts'

/** All types of event that the tenant has, ours and its own. */
export async function typesOf(api: Api): Promise<string[]> {
  const types: string[] = []
  for (let cursor = ''; ; ) {
    const { data, nextCursor } = await api.call('GET', `/event-types?limit=200${cursor}`)
    types.push(...(data as { type: string }[]).map(({ type }) => type))
    if (typeof nextCursor !== 'string') return types
    cursor = `&cursor=${encodeURIComponent(nextCursor)}`
  }
}

/** Whether a type is meant by one of these: itself, `invoice.*` or `*`; by none, everything is. */
export function isMeant(selectors: readonly string[], type: string): boolean {
  return selectors.length === 0 || selectors.some((selector) => fits(selector, type))
}

function fits(selector: string, type: string): boolean {
  if (selector === '*' || selector === type) return true
  return selector.endsWith('.*') && type.startsWith(selector.slice(0, -1))
}

/** A sentence about a type that there is not, with those that may have been meant. */
export function unknownType(type: string, known: readonly string[]): string {
  const near = known
    .map((name) => ({ name, steps: distance(type, name) }))
    .filter(({ name, steps }) => steps <= 3 + type.length / 5 || name.startsWith(`${type}.`))
    .sort((a, b) => a.steps - b.steps)
    .slice(0, 3)
    .map(({ name }) => name)
  const guess = near.length > 0 ? ` Did you mean ${near.join(', ')}?` : ''
  return `There is no event type "${type}".${guess}`
}

/** How many letters must be put in, taken out or changed (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let at = 1; at <= from.length; at += 1) {
    const next = [at]
    for (let other = 1; other <= to.length; other += 1) {
      const change = (row[other - 1] ?? 0) + (from[at - 1] === to[other - 1] ? 0 : 1)
      next.push(Math.min(change, (row[other] ?? 0) + 1, (next[other - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
