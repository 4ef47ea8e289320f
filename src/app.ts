import type { FastifyInstance } from 'fastify'
import { routes } from '#generated/routes.ts'
import { createAuthenticator } from './api-keys/authenticate.ts'
import { runRecorder } from './api-metrics/recorder.ts'
import { runChainer } from './audit/chainer.ts'
import { blindObserver, createObserver } from './audit/observer.ts'
import type { Context } from './context.ts'
import { runSequencer } from './events/sequencer.ts'
import type { Door } from './http/admit.ts'
import { createConcurrency } from './http/concurrency.ts'
import { serveDocs } from './http/docs.ts'
import { createLimiter } from './http/limiter.ts'
import { mount } from './http/mount.ts'
import { createServer } from './http/server.ts'
import { runJobs } from './jobs/jobs.ts'
import { runPresence } from './jobs/presence.ts'
import type { Task } from './jobs/task.ts'
import { runTimetable } from './jobs/timetable.ts'
import { operations } from './operations.ts'
import { reactions } from './reactions.ts'
import { runRequestLog } from './request-log/writer.ts'
import { tasks, timetable } from './tasks.ts'
import { runDispatcher } from './webhooks/dispatcher.ts'
import { disableGone } from './webhooks/gone.ts'
import { runOrphanage } from './webhooks/orphans.ts'

/** A part of the process that runs until it is stopped. */
export interface Running {
  /** Ends what is under way, for at most so long. */
  stop(drainMs: number): Promise<void>
}

/** How long a process that stops tries to write down what it has answered. */
const lastRowsMs = 5_000

/** The API with its docs, listening. `url` is where. */
export async function startApi(ctx: Context): Promise<Running & { url: string }> {
  const door = openDoor(ctx)
  const accounts = [runRequestLog(ctx), runRecorder(ctx)]
  const app = createServer(ctx, Object.values(routes), (call, bodies) => {
    for (const account of accounts) account.note(call, bodies)
  })
  mount(app, door, Object.values(routes), operations)
  await serveDocs(app)
  const stopAll = async (drainMs: number) => {
    await closeWithin(app, drainMs)
    await door.close()
    await Promise.all(accounts.map((account) => account.stop(Math.min(drainMs, lastRowsMs))))
  }
  const url = await listen(app, ctx.config.host, ctx.config.port).catch(async (error) => {
    await stopAll(0)
    throw error
  })
  return {
    url,
    stop: stopAll,
  }
}

/** Who looks at every call before it is let in. */
export function openDoor(ctx: Context): Door & { close(): Promise<void> } {
  const authenticator = createAuthenticator(ctx)
  const limiter = createLimiter(ctx)
  const observer = createObserver(ctx)
  return {
    ctx,
    authenticate: authenticator.authenticate,
    limiter,
    concurrency: createConcurrency(),
    observer,
    async close() {
      await authenticator.stop()
      await observer.stop()
      await limiter.stop()
    },
  }
}

/** Sequencer, dispatcher, jobs, the chain of the audit, and the timetable. */
export function startWorker(ctx: Context, known: readonly Task[] = tasks): Running {
  const presence = runPresence(ctx)
  const dispatcher = runDispatcher(ctx, presence, (claimed) => disableGone(ctx, claimed))
  const orphanage = runOrphanage(ctx, dispatcher.wake)
  const sequencer = runSequencer(ctx, reactions(ctx), dispatcher.wake)
  const chainer = runChainer(ctx)
  const recurring = runTimetable(ctx, timetable)
  const jobs = runJobs(ctx, presence, known)
  ctx.db.eventsCommitted.listen(sequencer.wake)
  return {
    async stop(drainMs) {
      await Promise.all([sequencer.stop(), chainer.stop(), recurring.stop(), orphanage.stop()])
      await Promise.all([dispatcher.stop(drainMs), jobs.stop(drainMs)])
      await presence.stop()
    },
  }
}

/** A worker's own listener for its health and metrics, on loopback. */
export async function startAdmin(ctx: Context): Promise<Running & { url: string }> {
  const open = Object.values(routes).filter((route) => route.scopes === null)
  const app = createServer(ctx, open)
  const nobody = () => Promise.reject(new Error('nothing here takes a key'))
  const limiter = { take: nobody, stop: async () => undefined }
  mount(
    app,
    {
      ctx,
      authenticate: nobody,
      limiter,
      concurrency: createConcurrency(),
      observer: blindObserver,
    },
    open,
    operations,
  )
  const url = await listen(app, '127.0.0.1', ctx.config.adminPort)
  return { url, stop: (drainMs) => closeWithin(app, drainMs) }
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  return await app.listen({ host, port })
}

async function closeWithin(app: FastifyInstance, drainMs: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), drainMs)
  await app.close()
  clearTimeout(cut)
}
