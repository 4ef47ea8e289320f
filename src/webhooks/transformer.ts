import { type ChildProcess, fork } from 'node:child_process'
import type { ExpressionLimits, Performed } from './transform-cell.ts'
import type { Answer, Work } from './transform-thread.ts'

/*
 * The *transformer* runs expressions of tenants where they can be killed: a regular expression of 27
 * characters keeps a thread busy for seconds, and one allocation that is too large for it ends its
 * whole process. So there are *cells*, processes of which each keeps one such thread. They are made
 * when there is work, go when there has been none, and hold up no process that wants to end. Tenants
 * take turns.
 */

export type Transformed =
  | Answer
  /** Nobody had time for it; nothing is known of the expression. */
  | { kind: 'busy'; detail: string }

export interface Transformer {
  run(tenantId: string, work: Work): Promise<Transformed>
}

export interface TransformerLimits extends ExpressionLimits {
  cells: number
  /** How long an expression may wait for a cell. */
  patienceMs: number
  idleMs: number
}

const usual: TransformerLimits = {
  ...{ cells: 2, cpuMs: 100, wallMs: 2_000, memoryMib: 64 },
  ...{ patienceMs: 10_000, idleMs: 30_000 },
}

interface Waiting {
  work: Work
  answer(transformed: Transformed): void
}

interface Cell {
  child: ChildProcess
  /** Ends it when it has had no work for a while. */
  idle?: NodeJS.Timeout
}

/** A cell judges by the clock, too; one that has not answered by then cannot. */
const graceMs = 3_000

/** On a machine that has much else to do it takes seconds. */
const beginMsMax = 30_000

export function createTransformer(limits: TransformerLimits = usual): Transformer {
  /** In the order in which tenants have their turns. */
  const queues = new Map<string, Waiting[]>()
  const idle: Cell[] = []
  let cells = 0

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
      const cell = idle.pop()
      if (cell === undefined && cells >= limits.cells) return
      const next = takeNext()
      if (next === undefined) return
      if (cell === undefined) cells += 1
      void work(cell, next)
    }
  }

  async function work(cell: Cell | undefined, { work, answer }: Waiting): Promise<void> {
    clearTimeout(cell?.idle)
    const own = cell ?? (await begin(limits).catch(() => undefined))
    const done = own && (await perform(own.child, work, limits))
    answer(done?.transformed ?? { kind: 'busy', detail: 'No process could be started for it.' })
    if (own && done && (await goesOn(own.child, done.after))) rest(own)
    else cells -= 1
    serve()
  }

  function rest(cell: Cell): void {
    idle.push(cell)
    cell.idle = setTimeout(() => {
      idle.splice(idle.indexOf(cell), 1)
      cells -= 1
      end(cell.child)
    }, limits.idleMs)
    cell.idle.unref()
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

/** A cell that is ready for work. */
async function begin({ cpuMs, wallMs, memoryMib }: ExpressionLimits): Promise<Cell> {
  const told = JSON.stringify({ cpuMs, wallMs, memoryMib } satisfies ExpressionLimits)
  const child = fork(new URL('./transform-cell.ts', import.meta.url), [told], {
    ...{ env: {}, execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
  })
  child.unref()
  child.channel?.unref()
  await ready(child)
  return { child }
}

/** Waits until a cell can be given work; ends it, and throws, when that is not to be. */
async function ready(child: ChildProcess): Promise<void> {
  let tooLate: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      tooLate = setTimeout(() => reject(new Error('A process did not begin.')), beginMsMax)
      tooLate.unref()
      child.once('message', () => resolve())
      child.once('error', reject)
      child.once('exit', () => reject(new Error('A process ended before it began.')))
    })
  } catch (error) {
    end(child)
    throw error
  } finally {
    clearTimeout(tooLate)
    forget(child)
  }
}

/** Whether a cell can have other work, once it is known. */
async function goesOn(child: ChildProcess, after: Done['after']): Promise<boolean> {
  if (after !== 'mends') return after === 'rests' && child.connected
  return await ready(child).then(
    () => true,
    () => false,
  )
}

interface Done {
  transformed: Transformed
  /** Whether the cell can have other work, will tell when it can, or is no more. */
  after: 'rests' | 'mends' | 'ended'
}

/** Has a cell do its work; what ends the cell was too large for it. */
async function perform(
  child: ChildProcess,
  work: Work,
  { wallMs, memoryMib }: ExpressionLimits,
): Promise<Done> {
  const done = await new Promise<Done>((resolve) => {
    const ended = (transformed: Transformed) => resolve({ transformed, after: 'ended' })
    const tooLate = setTimeout(() => {
      end(child)
      ended({ kind: 'busy', detail: 'Its process did not answer.' })
    }, wallMs + graceMs)
    tooLate.unref()
    child.once('message', ({ answer, isWhole }: Performed) =>
      resolve({ transformed: answer, after: isWhole ? 'rests' : 'mends' }),
    )
    child.once('exit', () => {
      ended({ kind: 'failed', detail: `It took more than ${memoryMib} MiB.` })
    })
    // One that ended while it had no work heard of none.
    child.send(work, (error) => {
      if (error) ended({ kind: 'busy', detail: 'Its process had ended.' })
    })
    child.once('message', () => clearTimeout(tooLate))
    child.once('exit', () => clearTimeout(tooLate))
  })
  // What a cell says next is for whoever waits until it can be given work.
  forget(child)
  return done
}

function end(child: ChildProcess): void {
  if (child.connected) child.disconnect()
  child.kill('SIGKILL')
}

/** Nobody listens any more; what goes wrong with a cell that has no work shows when it has. */
function forget(child: ChildProcess): void {
  for (const name of ['message', 'error', 'exit']) child.removeAllListeners(name)
  child.on('error', () => undefined)
}
