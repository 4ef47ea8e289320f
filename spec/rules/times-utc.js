import { report } from './walk.js'

/** A moment is in UTC and says so with `Z`: with offsets, equal moments would be different texts. */
export const timesUtc = () => ({
  Schema(schema, ctx) {
    if (schema.format !== 'date-time' || /Z\$$/.test(schema.pattern ?? '')) return
    report(ctx, ctx.location, 'A moment must have a pattern that ends in `Z$`.')
  },
})
