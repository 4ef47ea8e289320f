import { problem } from '#http/problem.ts'

/** A field that has the form of the contract and still cannot be meant. */
export interface Misfit {
  /** Into the body. */
  pointer: string
  /** Reads on from the field's name: `must be before …`. */
  message: string
}

/** Refuses a body with a misfit, as `invalid_request`. */
export function requireFit(misfit: Misfit | undefined): void {
  if (misfit === undefined) return
  const { pointer, message } = misfit
  throw problem('invalid_request', {
    detail: `${pointer} ${message}.`,
    errors: [{ pointer, code: 'out_of_range', message }],
  })
}
