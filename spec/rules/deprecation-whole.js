import { eachOperation, repliesOf, report } from './walk.js'

const noticeDays = 90
const dayMs = 24 * 60 * 60 * 1_000

/**
 * What is deprecated says since when, until when and why, 90 days ahead at least, and every success
 * tells it: `deprecated` is for people, `x-deprecation` for programs, the headers for those who run.
 */
export const deprecationWhole = () =>
  eachOperation((operation, ctx) => {
    const { operationId, deprecated = false, 'x-deprecation': notice } = operation.node
    const tell = (fault) => report(ctx, operation.location.key(), `${operationId}: ${fault}`)
    if (deprecated !== (notice !== undefined)) {
      tell('`deprecated: true` and `x-deprecation` go together.')
    }
    if (notice === undefined) return
    const { since, sunset, reason } = notice
    if (!reason) tell('`x-deprecation` must give a reason.')
    if (Date.parse(sunset) - Date.parse(since) < noticeDays * dayMs) {
      tell(`between since and sunset there must be ${noticeDays} days.`)
    }
    for (const [status, { node }] of repliesOf(ctx, operation)) {
      const isTold = node?.headers?.Deprecation && node.headers.Sunset
      if (status.startsWith('2') && !isTold) tell(`${status} must declare Deprecation and Sunset.`)
    }
  })
