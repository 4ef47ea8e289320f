import type { Context } from './context.ts'
import type { FanOut } from './events/sequencer.ts'
import { fanOutTo } from './webhooks/fan-out.ts'

/** What follows from events of every type: deliveries to the endpoints that want them. */
export function reactions(ctx: Context): FanOut {
  return fanOutTo(ctx)
}
