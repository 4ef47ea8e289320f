import type { FastifyReply, FastifyRequest } from 'fastify'
import { collectDefaultMetrics, Histogram, register } from 'prom-client'
import type { Context } from '#context.ts'
import { traceIdOf } from './trace.ts'
import { elapsedMs } from './trail.ts'

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15]

const callSeconds = new Histogram({
  name: 'ubos_http_call_seconds',
  help: 'Time from a request to its reply, by operation and status.',
  labelNames: ['operation', 'status'],
  buckets: seconds,
})

// Memory, CPU, garbage collection and the lag of the event loop.
collectDefaultMetrics()

/** All metrics of this process, as Prometheus reads them. */
export function metricsText(): Promise<string> {
  return register.metrics()
}

/** Counts a finished call and writes its line in the log. */
export function observeCall({ log }: Context, request: FastifyRequest, reply: FastifyReply): void {
  const operation = request.routeOptions?.config?.operation?.operationId ?? 'none'
  const status = reply.statusCode
  const ms = elapsedMs(request, reply)
  callSeconds.observe({ operation, status }, ms / 1_000)
  if (!log.isLevelEnabled('info')) return
  const call = request.call
  log.info(
    {
      operation,
      status,
      ms: Math.round(ms * 10) / 10,
      requestId: request.id,
      correlationId: call?.correlationId,
      traceId: traceIdOf(call?.traceparent),
      ...(call && 'tenantId' in call ? { tenantId: call.tenantId, keyId: call.key.id } : {}),
    },
    'call',
  )
}
