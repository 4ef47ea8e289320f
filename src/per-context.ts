import type { Context } from './context.ts'

/** Something that there is one of in a process, made when it is first asked for. */
export function perContext<Made>(make: (ctx: Context) => Made): (ctx: Context) => Made {
  const all = new WeakMap<Context, Made>()
  return (ctx) => {
    const known = all.get(ctx)
    if (known !== undefined) return known
    const made = make(ctx)
    all.set(ctx, made)
    return made
  }
}
