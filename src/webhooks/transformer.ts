import { Worker } from 'node:worker_threads'
import type { Answer, Work } from './transform-thread.ts'

/*
 * The *transformer* runs expressions of tenants in threads that can be killed: a regular expression of
 * 27 characters keeps a thread busy for seconds. Threads are made when there is work, go when there has
 * been none, and hold up no process that wants to end. Tenants take turns.
 */

export type Transformed =
  | Answer
  /** Nobody had time for it; nothing is known of the expression. */
  | { kind: 'busy'; detail: string }

export interface Transformer {
  run(tenantId: string, work: Work): Promise<Transformed>
}

export interface TransformerLimits {
  threads: number
  /** What an expression may take of a processor, … */
  cpuMs: number
  /** … and on the clock, where it waits for a processor. */
  wallMs: number
  memoryMib: number
  /** How long it may wait for a thread. */
  patienceMs: number
  idleMs: number
}

const usual: TransformerLimits = {
  ...{ threads: 2, cpuMs: 100, wallMs: 2_000, memoryMib: 64 },
  ...{ patienceMs: 10_000, idleMs: 30_000 },
}

interface Waiting {
  work: Work
  answer(transformed: Transformed): void
}

interface Thread {
  worker: Worker
  /** Ends it when it has had no work for a while. */
  idle?: NodeJS.Timeout
}

export function createTransformer(limits: TransformerLimits = usual): Transformer {
  /** In the order in which tenants have their turns. */
  const queues = new Map<string, Waiting[]>()
  const idle: Thread[] = []
  let threads = 0

  /** The next of the first tenant in line, which goes to the end of the line. */
  function takeNext(): Waiting | undefined {
    for (const [tenantId, queue] of queues) {
      const next = queue.shift()
      queues.delete(tenantId)
      if (queue.length > 0) queues.set(tenantId, queue)
      if (next !== undefined) return next
    }
    return undefined
  }

  function serve(): void {
    while (queues.size > 0) {
      const thread = idle.pop()
      if (thread === undefined && threads >= limits.threads) return
      const next = takeNext()
      if (next === undefined) return
      if (thread === undefined) threads += 1
      void work(thread, next)
    }
  }

  async function work(thread: Thread | undefined, { work, answer }: Waiting): Promise<void> {
    clearTimeout(thread?.idle)
    const own = thread ?? (await begin(limits).catch(() => undefined))
    const transformed = own && (await perform(own.worker, work, limits))
    if (own && transformed && isWhole(transformed)) rest(own)
    else {
      threads -= 1
      void own?.worker.terminate()
    }
    answer(transformed?.answer ?? { kind: 'busy', detail: 'No thread could be started.' })
    serve()
  }

  function rest(thread: Thread): void {
    idle.push(thread)
    thread.idle = setTimeout(() => {
      idle.splice(idle.indexOf(thread), 1)
      threads -= 1
      void thread.worker.terminate()
    }, limits.idleMs)
    thread.idle.unref()
  }

  return {
    run: (tenantId, work) =>
      new Promise((resolve) => {
        const queue = queues.get(tenantId) ?? []
        const waiting: Waiting = {
          work,
          answer(transformed) {
            clearTimeout(patience)
            resolve(transformed)
          },
        }
        const patience = setTimeout(() => {
          const at = queue.indexOf(waiting)
          if (at === -1) return
          queue.splice(at, 1)
          resolve({ kind: 'busy', detail: 'It waited too long for its turn.' })
        }, limits.patienceMs)
        queue.push(waiting)
        queues.set(tenantId, queue)
        serve()
      }),
  }
}

/** The one of this process. */
export const transformer = createTransformer()

async function begin({ memoryMib }: TransformerLimits): Promise<Thread> {
  const worker = new Worker(new URL('./transform-thread.ts', import.meta.url), {
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: memoryMib, maxYoungGenerationSizeMb: 8 },
  })
  worker.unref()
  await new Promise((ready, failed) => {
    worker.once('message', ready)
    worker.once('error', failed)
    worker.once('exit', failed)
  })
  forget(worker)
  return { worker }
}

interface Performed {
  answer: Answer
  /** Whether the thread is as it was before. */
  isWhole: boolean
}

const isWhole = (performed: Performed): boolean => performed.isWhole

/** Has a thread do its work; one that takes too much is not whole any more. */
async function perform(worker: Worker, work: Work, limits: TransformerLimits): Promise<Performed> {
  const broken = (detail: string): Performed => {
    return { answer: { kind: 'failed', detail }, isWhole: false }
  }
  const before = await cpuMsOf(worker)
  const startedMs = performance.now()
  const performed = await new Promise<Performed>((resolve) => {
    worker.once('message', (answer: Answer) => resolve({ answer, isWhole: true }))
    worker.once('error', () => resolve(broken(`It took more than ${limits.memoryMib} MiB.`)))
    worker.once('exit', () => resolve(broken('Its thread ended.')))
    worker.postMessage(work)
    const look = async () => {
      const isLate = performance.now() - startedMs >= limits.wallMs
      const spentMs = isLate ? 0 : (await cpuMsOf(worker)) - before
      const isOverrun = isLate || spentMs >= limits.cpuMs
      if (isOverrun) resolve(broken(`It took more than ${limits.cpuMs} ms.`))
      else watch = setTimeout(look, Math.max(limits.cpuMs - spentMs, 5))
    }
    let watch = setTimeout(look, limits.cpuMs)
    worker.once('message', () => clearTimeout(watch))
    worker.once('exit', () => clearTimeout(watch))
  })
  forget(worker)
  return performed
}

/** Nobody listens any more (but the worker itself, to who does); what a dying thread still has to say is known. */
function forget(worker: Worker): void {
  for (const name of ['message', 'error', 'exit']) worker.removeAllListeners(name)
  worker.on('error', () => undefined)
}

/** Of a thread that is gone nobody knows; what it did shows elsewhere. */
async function cpuMsOf(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage().catch(() => ({ user: 0, system: 0 }))
  return (user + system) / 1_000
}
