import { Worker } from 'node:worker_threads'
import type { Answer, Work } from './transform-thread.ts'

/*
 * What runs in a process of its own, and keeps the thread in which expressions run: it looks at what
 * one takes of the processor, and replaces the thread of one that takes too much. It ends when the
 * process that made it is not there any more.
 */

export interface ExpressionLimits {
  /** What an expression may take of a processor, … */
  cpuMs: number
  /** … and on the clock, where it waits for a processor. */
  wallMs: number
  memoryMib: number
}

const limits: ExpressionLimits = JSON.parse(process.argv[2] ?? '{}')

async function begin(): Promise<Worker> {
  const worker = new Worker(new URL('./transform-thread.ts', import.meta.url), {
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: limits.memoryMib, maxYoungGenerationSizeMb: 8 },
  })
  await new Promise((ready, failed) => {
    worker.once('message', ready)
    worker.once('error', failed)
    worker.once('exit', failed)
  })
  forget(worker)
  return worker
}

export interface Performed {
  answer: Answer
  /** Whether the thread is as it was before; if not, `ready` follows once there is another. */
  isWhole: boolean
}

/** Has a thread do its work; one that takes too much is not whole any more. */
async function perform(worker: Worker, work: Work): Promise<Performed> {
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

let thread = await begin()
process.on('disconnect', () => process.exit())
// What ends the processes of a terminal or of a service all at once is for the first of them to heed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
process.on('message', async (work: Work) => {
  const performed = await perform(thread, work)
  process.send?.(performed)
  if (performed.isWhole) return
  void thread.terminate()
  thread = await begin()
  process.send?.('ready')
})
process.send?.('ready')
