import { bodyError, type FieldError } from '#http/field-errors.ts'

/** Whether one of these selectors (a type, `noun.*` or `*`) selects events of this type. */
export function selects(selectors: readonly string[], type: string): boolean {
  return selectors.some((selector) => isSelectedBy(selector, type))
}

function isSelectedBy(selector: string, type: string): boolean {
  if (!selector.endsWith('*')) return selector === type
  // What is left is empty, or ends with the dot: `job.*` does not select `job_schedule.created`.
  return type.startsWith(selector.slice(0, -1))
}

/** Where a tenant's own types will be, once it makes some. */
const anyOwn = 'custom.*'

/** Where in a request a selector stands, by its place among the others. */
export type SelectorPlace = (at: number, code: string, message: string) => FieldError

const inBody: SelectorPlace = (at, code, message) =>
  bodyError(['eventTypes', String(at)], code, message)

/** The selectors that select no type that there is, as errors at their places. */
export function straySelectors(
  selectors: readonly string[],
  types: readonly string[],
  place = inBody,
): FieldError[] {
  return selectors.flatMap((selector, at) =>
    selector === anyOwn || types.some((type) => isSelectedBy(selector, type))
      ? []
      : [place(at, 'no_such_event', 'selects no type of event')],
  )
}
