import { eachOperation, parametersOf, repliesOf, report } from './walk.js'

/** Readings that also change without a new revision, so that no tag tells whether they have. */
const changing = new Set(['getApiKey', 'getJobSchedule', 'getProposal'])

/**
 * What has an `ETag` can be asked for only if it has changed, and changed only if it has not: its GET
 * takes If-None-Match and knows 304, its PATCH takes If-Match.
 */
export const conditionalRequests = () =>
  eachOperation((operation, ctx) => {
    const { method, node } = operation
    if (!repliesOf(ctx, operation).some(hasEtag)) return
    const names = parametersOf(ctx, operation).map((parameter) => parameter.node.name)
    const tell = (fault) => report(ctx, operation.location.key(), `${node.operationId}: ${fault}`)
    if (method === 'get' && changing.has(node.operationId)) return
    if (method === 'get' && !names.includes('If-None-Match')) tell('it must take If-None-Match.')
    if (method === 'get' && !node.responses[304]) tell('it must declare 304.')
    if (method === 'patch' && !names.includes('If-Match')) tell('it must take If-Match.')
  })

function hasEtag([status, reply]) {
  return status.startsWith('2') && reply.node?.headers?.ETag !== undefined
}
