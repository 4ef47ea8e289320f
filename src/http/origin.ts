import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { holdsSecret } from '#secrets/token.ts'

/*
 * What a request says of where it comes from.
 */

const wellFormed = /^[\w.:/=+@-]{1,128}$/

/**
 * The caller's name for the whole of it. What is not well formed is not repeated, nor what looks like
 * a secret of ours: it would stand in logs, in the audit and in events.
 */
export function correlationIdOf({ headers, id }: FastifyRequest): string {
  const header = headers['x-correlation-id']
  if (typeof header !== 'string' || !wellFormed.test(header)) return id
  return holdsSecret(header) ? id : header
}

/** Where a request comes from; null where that is no address. */
export function ipOf({ ip }: FastifyRequest): string | null {
  return isIP(ip) === 0 ? null : ip
}

/** Whether it comes from this machine itself, and not through a proxy on it. */
export function isLocal({ raw }: FastifyRequest): boolean {
  const { forwarded, 'x-forwarded-for': forwardedFor } = raw.headers
  const isForwarded = forwarded !== undefined || forwardedFor !== undefined
  return !isForwarded && /^(127\.|::1$|::ffff:127\.)/.test(raw.socket.remoteAddress ?? '')
}

/**
 * How often a header stands in a request. Of two, Node shows the first, and somebody before us may
 * take the last.
 */
export function timesGiven({ raw }: FastifyRequest, name: string): number {
  const { rawHeaders } = raw
  let times = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at] ?? ''
    if (given.length === name.length && given.toLowerCase() === name) times += 1
  }
  return times
}
