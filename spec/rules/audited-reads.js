import { bodySchemas, eachOperation, repliesOf, report, schemasWithin } from './walk.js'

/**
 * Whoever reads what is confidential leaves a trace: such a read says under which action, as
 * `noun.verb`, the audit keeps it. What can show a field marked `x-sensitive` is one in any case.
 * Writes leave their entries by themselves.
 */
export const auditedReads = () =>
  eachOperation((operation, ctx) => {
    const fault = faultOf(operation, ctx)
    if (fault) report(ctx, operation.location.key(), fault)
  })

function faultOf(operation, ctx) {
  const action = operation.node['x-audited-read']
  if (operation.method !== 'get') {
    return action && 'A write leaves its own entry: `x-audited-read` is for reads.'
  }
  if (action !== undefined) {
    const isAction = /^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/.test(action)
    return isAction ? undefined : '`x-audited-read` names an action, `noun.verb`.'
  }
  if (!showsSecrets(operation, ctx)) return undefined
  return 'It can show what is marked `x-sensitive`: name its `x-audited-read`.'
}

function showsSecrets(operation, ctx) {
  const seen = new Set()
  return [...repliesOf(ctx, operation)].some(([, reply]) =>
    bodySchemas(ctx, reply)
      .flatMap((one) => schemasWithin(ctx, one, seen))
      .some(({ node }) => [node, ...Object.values(node.properties ?? {})].some(isMarked)),
  )
}

function isMarked(schema) {
  return schema?.['x-sensitive'] === true
}
