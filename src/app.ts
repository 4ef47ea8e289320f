import type { FastifyInstance } from 'fastify'
import { routes } from '#generated/routes.ts'
import { createAuthenticator } from './api-keys/authenticate.ts'
import { runRecorder } from './api-metrics/recorder.ts'
import { runChainer } from './audit/chainer.ts'
import { blindObserver, createObserver } from './audit/observer.ts'
import type { Context } from './context.ts'
import { runSequencer } from './events/sequencer.ts'
import { endStreams } from './events/streams.ts'
import type { Door } from './http/admit.ts'
import { createConcurrency } from './http/concurrency.ts'
import { serveDocs } from './http/docs.ts'
import { addressOf, createFront, type Front, leaving, listenAt } from './http/front.ts'
import { createLimiter } from './http/limiter.ts'
import { mount } from './http/mount.ts'
import { createGate, openGate } from './http/pressure-gauge.ts'
import { createServer } from './http/server.ts'
import type { NoteCall } from './http/trail.ts'
import { outcomesOf } from './inbound/outcome.ts'
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

/** Only this machine may look at a worker. */
export const adminHost = '127.0.0.1'

/** How long a process that stops tries to write down what it has answered. */
const lastRowsMs = 5_000

/** The API with its docs, listening; on a `front` that listens already where one is given. */
export async function startApi(ctx: Context, given?: Front): Promise<Running & { url: string }> {
  const front = given ?? createFront(ctx.clock)
  const door = openDoor(ctx, front)
  const accounts = [runRequestLog(ctx), runRecorder(ctx)]
  const note: NoteCall = (call, bodies) => {
    for (const account of accounts) account.note(call, bodies)
  }
  const app = createServer(ctx, Object.values(routes), note, front)
  mount(app, door, Object.values(routes), operations)
  await serveDocs(app)
  const leave = leaving(app, front, ctx.config.awayMs)
  async function stop(drainMs: number): Promise<void> {
    // Who follows events is told to come back, and does so elsewhere.
    endStreams(ctx)
    await leave(drainMs)
    await door.close()
    const writers = [...accounts, outcomesOf(ctx)]
    await Promise.all(writers.map((writer) => writer.stop(Math.min(drainMs, lastRowsMs))))
  }
  const url = await welcome(app, front, ctx.config.host, ctx.config.port).catch(async (error) => {
    await stop(0)
    throw error
  })
  return { url, stop }
}

/** Opens the house; listens first where the front does not yet. Answers its address. */
async function welcome(
  app: FastifyInstance,
  front: Front,
  host: string,
  port: number,
): Promise<string> {
  await app.ready()
  return front.server.listening ? addressOf(front) : await listenAt(front, host, port)
}

/** Who looks at every call before it is let in. */
export function openDoor(
  ctx: Context,
  { isLeaving }: Pick<Front, 'isLeaving'> = { isLeaving: () => false },
): Door & { close(): Promise<void> } {
  const authenticator = createAuthenticator(ctx)
  const limiter = createLimiter(ctx)
  const observer = createObserver(ctx)
  const concurrency = createConcurrency()
  const gate = createGate(ctx, concurrency)
  return {
    ctx,
    authenticate: authenticator.authenticate,
    limiter,
    concurrency,
    gate,
    observer,
    isLeaving,
    async close() {
      gate.stop()
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
  const sequencer = runSequencer(ctx, reactions(ctx), (hasFollowing) => {
    if (hasFollowing) dispatcher.wake()
    ctx.db.eventsSequenced.raise()
  })
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
export async function startAdmin(ctx: Context, given?: Front): Promise<Running & { url: string }> {
  const front = given ?? createFront(ctx.clock)
  const own = [routes.getLiveness, routes.getReadiness, routes.getMetrics]
  const app = createServer(ctx, own, undefined, front)
  const nobody = () => Promise.reject(new Error('nothing here takes a key'))
  const limiter = { take: nobody, stop: async () => undefined }
  mount(
    app,
    {
      ctx,
      authenticate: nobody,
      limiter,
      concurrency: createConcurrency(),
      gate: openGate,
      observer: blindObserver,
      isLeaving: front.isLeaving,
    },
    own,
    operations,
  )
  const url = await welcome(app, front, adminHost, ctx.config.adminPort)
  // Nobody is sent here by a load balancer.
  return { url, stop: leaving(app, front, 0) }
}
