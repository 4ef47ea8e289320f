import { eachOperation, report } from './walk.js'

const verbs = {
  get: ['get', 'list'],
  post: [
    ...['create', 'submit', 'accept', 'decline', 'issue', 'void', 'rotate', 'revoke', 'redeliver'],
    ...['retry', 'cancel'],
  ],
  patch: ['update'],
  delete: ['delete'],
}

/**
 * An operationId is a verb that fits the method and a noun: `createClient`. It is also the name of
 * the handler. A verb that is not listed here is added here, so that one deed keeps one word.
 */
export const operationIdVerbNoun = () =>
  eachOperation(({ node, method, location }, ctx) => {
    const allowed = verbs[method]
    const id = node.operationId ?? ''
    if (!allowed) {
      report(
        ctx,
        location.key(),
        `We use GET, POST, PATCH and DELETE; not ${method.toUpperCase()}.`,
      )
    } else if (!new RegExp(`^(${allowed.join('|')})([A-Z][a-z0-9]*)+$`).test(id)) {
      const at = node.operationId ? location.child(['operationId']) : location.key()
      const words = allowed.join(', ')
      report(ctx, at, `operationId \`${id}\` must be a verb of ${method} (${words}) and a noun.`)
    }
  })
