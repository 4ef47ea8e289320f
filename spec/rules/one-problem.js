import { eachOperation, repliesOf, report } from './walk.js'

const problem = /(^|\/)Problem(\.yaml)?$/

/**
 * There is one form of refusal: `Problem`, as `application/problem+json`. Each status is declared
 * by itself, because a range or a `default` hides what can happen.
 */
export const oneProblem = () => {
  const seen = new Set()
  return eachOperation((operation, ctx) => {
    for (const [status, reply] of repliesOf(ctx, operation)) {
      const { node, location } = reply
      if (!/^[1-5]\d\d$/.test(status)) {
        const at = operation.location.child(['responses', status]).key()
        report(ctx, at, `Declare each status by itself, not \`${status}\`.`)
      } else if (status >= '400' && !seen.has(location.absolutePointer)) {
        seen.add(location.absolutePointer)
        if (!isProblem(node)) {
          report(ctx, location, `${status} must be a Problem, as application/problem+json only.`)
        }
      }
    }
  })
}

function isProblem(reply) {
  const mediaTypes = Object.keys(reply?.content ?? {})
  const schema = reply?.content?.['application/problem+json']?.schema
  return mediaTypes.length === 1 && problem.test(schema?.$ref ?? '')
}
