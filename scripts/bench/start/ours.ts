import { routes } from '#generated/routes.ts'
import { createAuthenticator } from '../../../src/api-keys/authenticate.ts'
import { createObserver } from '../../../src/audit/observer.ts'
import { createConcurrency } from '../../../src/http/concurrency.ts'
import { createLimiter } from '../../../src/http/limiter.ts'
import { mount } from '../../../src/http/mount.ts'
import type { Handlers } from '../../../src/http/operation.ts'
import { createGate } from '../../../src/http/pressure-gauge.ts'
import { createServer } from '../../../src/http/server.ts'
import { deafContext } from '../contract/context.ts'
import { getSample } from '../contract/sample.ts'
import { serveParent } from '../server.ts'

/*
 * The contract layer alone, with the door as the product has it, over whatever operations
 * `#generated` holds: they all answer the same client.
 */
const { ctx, key } = deafContext()
const handlers = new Proxy({}, { get: () => async () => ({ status: 200, body: getSample() }) })
const concurrency = createConcurrency()
const door = {
  ctx,
  authenticate: createAuthenticator(ctx).authenticate,
  limiter: createLimiter(ctx),
  concurrency,
  gate: createGate(ctx, concurrency),
  observer: createObserver(ctx),
  isLeaving: () => false,
}
const app = createServer(ctx, Object.values(routes))
mount(app, door, Object.values(routes), handlers as Handlers)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
serveParent(url, () => app.close(), { key })
