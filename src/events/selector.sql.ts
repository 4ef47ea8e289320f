import { type RawBuilder, sql } from 'kysely'

/** Whether the event at `place` is of a type that one of these selects, as `selects` does. */
export function placeSelectedBy(selectors: readonly string[]): RawBuilder<boolean> {
  const names = selectors.filter((selector) => !selector.endsWith('*'))
  const beginnings = selectors.filter((selector) => selector.endsWith('*'))
  const prefixes = beginnings.map((selector) => selector.slice(0, -1))
  return sql<boolean>`(place.type = any(${names}::text[]) or exists (
    select from unnest(${prefixes}::text[]) as prefix where starts_with(place.type, prefix)))`
}
