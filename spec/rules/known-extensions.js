import { report } from './walk.js'

const known = new Set([
  'x-idempotency',
  'x-cost',
  'x-deprecation',
  'x-sensitive',
  'x-audited-read',
  'x-limits',
  'x-websocket',
  'x-problems',
  'x-raw',
])

/** An extension that nobody reads is a promise that nobody keeps, so an unknown one is an error. */
export const knownExtensions = () => ({
  any(node, ctx) {
    if (node === null || typeof node !== 'object' || !ctx.type.properties) return
    for (const key of Object.keys(node)) {
      const isExtension = key.startsWith('x-') && !(key in ctx.type.properties)
      if (!isExtension || known.has(key)) continue
      report(ctx, ctx.location.child([key]).key(), `We know no extension \`${key}\`.`)
    }
  },
})
