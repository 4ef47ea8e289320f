import { child, eachOperation, report, schemaName } from './walk.js'

/**
 * What is said over a WebSocket is of the contract too: `x-websocket` names component schemas for what
 * we send and what we receive, each told from the others by a constant `kind`. It begins as a GET
 * that can be answered by 101.
 */
export const websocketMessages = () =>
  eachOperation((operation, ctx) => {
    const messages = operation.node['x-websocket']
    if (messages === undefined) return
    const place = operation.location.child(['x-websocket'])
    if (operation.method !== 'get' || !operation.node.responses?.['101']) {
      report(ctx, place.key(), 'A WebSocket begins as a GET with a 101 among its responses.')
    }
    for (const way of ['sends', 'receives']) {
      const list = messages?.[way]
      if (!Array.isArray(list) || list.length === 0) {
        report(ctx, place.key(), `\`${way}\` must list component schemas.`)
      } else judgeList(ctx, operation, way, list)
    }
  })

function judgeList(ctx, operation, way, list) {
  const kinds = new Set()
  for (const index of list.keys()) {
    const place = operation.location.child(['x-websocket', way, index])
    const message = child(ctx, operation, 'x-websocket', way, index)
    const isNamed = message.node !== undefined && schemaName(message.location) !== undefined
    if (!isNamed) {
      report(ctx, place, 'This is no reference to a component schema that there is.')
      continue
    }
    const kind = child(ctx, message, 'properties', 'kind').node?.const
    const isTold = typeof kind === 'string' && (message.node.required ?? []).includes('kind')
    if (!isTold || kinds.has(kind)) {
      report(ctx, place, 'A message needs a required `kind` with a constant of its own.')
    }
    kinds.add(kind)
  }
}
