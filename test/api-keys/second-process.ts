import { startApi } from '#app.ts'
import type { Context } from '#context.ts'
import { openDatabases } from '#db/open.ts'
import { databaseUrlOf } from '../db/fixture.ts'
import type { World } from '../world.ts'

/**
 * What another process on the same installation has of its own: connections and a cache of keys.
 * `change` may put something in the way of its capabilities.
 */
export async function startSecond(world: World, change: (ctx: Context) => Context = (ctx) => ctx) {
  const db = openDatabases(databaseUrlOf(world), world.ctx.log)
  const api = await startApi(change({ ...world.ctx, db }))
  return {
    url: api.url,
    /** The status that a key gets here. */
    async statusFor(key: string, path = '/api/v1/me'): Promise<number> {
      const headers = { authorization: `Bearer ${key}` }
      const response = await fetch(api.url + path, { headers })
      await response.arrayBuffer()
      return response.status
    },
    async stop() {
      await api.stop(1_000)
      await db.close()
    },
  }
}
