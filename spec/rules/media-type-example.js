import { report } from './walk.js'

/**
 * Every media type has examples with names, by which a reader can ask the mock for one of them.
 * That they fit their schema is checked by another rule, `no-invalid-media-type-examples`.
 */
export const mediaTypeExample = () => ({
  MediaType(media, ctx) {
    if (media.example !== undefined) {
      report(ctx, ctx.location.child(['example']).key(), 'Give examples a name: use `examples`.')
      return
    }
    const examples = Object.entries(media.examples ?? {})
    if (examples.length === 0) report(ctx, ctx.location.key(), 'It has no example.')
    for (const [name, example] of examples) {
      const at = ctx.location.child(['examples', name]).key()
      if (!/^[a-z][a-zA-Z0-9]*$/.test(name)) report(ctx, at, `\`${name}\` must be camelCase.`)
      if (!example.$ref && !example.summary) report(ctx, at, `\`${name}\` has no summary.`)
    }
  },
})
