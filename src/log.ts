import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'

export type Log = Logger

/** Paths at which a secret could stand; pino writes `[hidden]` there. */
const secretPaths = ['authorization', 'key', 'secret', 'password', 'cookie'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
])

/** One line of JSON per entry, to standard error: standard output is for people. */
export function createLog(
  level: string,
  to: DestinationStream = pino.destination({ dest: 2, sync: false }),
): Log {
  return pino(
    {
      level,
      base: null,
      // An error of `pg` bears its whole client, with all that it has prepared.
      serializers: { err: (error: Error) => ({ ...stdSerializers.err(error), client: undefined }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: secretPaths, censor: '[hidden]' },
    },
    to,
  )
}
