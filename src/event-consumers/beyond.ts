import { type Problem, problem } from '#http/problem.ts'

/** The refusal of a position that lies behind the last one that it may be. */
export function beyond(pointer: string, last: number): Problem {
  return problem('invalid_state', {
    detail: `The last position there is ${last}.`,
    errors: [{ pointer, code: 'maximum', message: `must not be more than ${last}` }],
  })
}
