import { parentPort } from 'node:worker_threads'
import jsonata from 'jsonata'

/*
 * What runs in a thread of its own: expressions of tenants. Nothing of the process is within their
 * reach, and what one leaves behind, no other finds: the thread knows no globals that touch the world,
 * functions lead to no compiler, and what all objects inherit cannot be changed.
 */

/** An expression, and the event that it is for as JSON; without one it is only read. */
export interface Work {
  expression: string
  event: string | null
}

export type Answer =
  | { kind: 'made'; body: string }
  | { kind: 'failed'; detail: string }
  | { kind: 'unreadable'; detail: string }

/** The most that is sent, as of any event. */
const bodyBytesMax = 256 * 1024

async function answer({ expression, event }: Work): Promise<Answer> {
  let read: jsonata.Expression
  try {
    read = jsonata(expression)
  } catch (error) {
    return { kind: 'unreadable', detail: detailOf(error) }
  }
  if (event === null) return { kind: 'made', body: '' }
  try {
    const body = JSON.stringify(await read.evaluate(JSON.parse(event)))
    if (body === undefined) return failed('It makes nothing of this event.')
    if (Buffer.byteLength(body) > bodyBytesMax) return failed('It makes more than 256 KiB.')
    return { kind: 'made', body }
  } catch (error) {
    return failed(detailOf(error))
  }
}

const failed = (detail: string): Answer => ({ kind: 'failed', detail })

/** jsonata throws plain objects; `position` counts characters of the expression. */
function detailOf(error: unknown): string {
  const { message, position } = error as { message?: string; position?: number }
  const where = position === undefined ? '' : ` (at character ${position})`
  return `${String(message ?? 'It failed.').slice(0, 300)}${where}`
}

/** Ways from a function to the compiler of texts, one for each kind of function. */
function closeCompilers(): void {
  const kinds = [() => 0, async () => 0, function* () {}, async function* () {}]
  for (const kind of kinds) Reflect.deleteProperty(Object.getPrototypeOf(kind), 'constructor')
}

const shared = [Object, Array, Function, String, Number, Boolean, Promise, RegExp, Date, Map, Set]
const worldly = ['process', 'fetch', 'WebSocket', 'EventSource', 'navigator', 'Function', 'eval']

async function begin(port: NonNullable<typeof parentPort>): Promise<void> {
  // The first run compiles much of the engine, which is nobody's time.
  await answer({ expression: '$map(a, function($v) { $string($v) & "x" })', event: '{"a":[1]}' })
  closeCompilers()
  for (const name of worldly) Reflect.deleteProperty(globalThis, name)
  for (const one of shared) {
    Object.freeze(one.prototype)
    Object.freeze(one)
  }
  port.on('message', async (work: Work) => port.postMessage(await answer(work)))
  port.postMessage('ready')
}

if (parentPort !== null) await begin(parentPort)
