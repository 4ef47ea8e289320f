import { setTimeout as rest } from 'node:timers/promises'

/** How `gather` makes batches. */
export interface Gathering<Item> {
  batchMax: number
  /** Whether one item must be to blame for an error: then each is tried by itself. */
  isOfOne: (error: unknown) => boolean
  /** Items of different lanes are never in one batch, nor wait for each other; all are in one unless told. */
  laneOf?: (item: Item) => string
  /** A lane's batches begin so far apart, in ms, unless a whole one waits: fewer, but longer ones. */
  apartMs?: number
}

/**
 * Lets one statement do the work of many: what is put in while a batch is under way goes into the
 * next one. `run` answers one result for each item, in their order. An error is everybody's in its
 * batch, unless it is `isOfOne`.
 */
export function gather<Item, Answer>(
  run: (items: readonly Item[]) => Promise<readonly Answer[]>,
  { batchMax, isOfOne, laneOf = () => '', apartMs = 0 }: Gathering<Item>,
): (item: Item) => Promise<Answer> {
  interface Waiting {
    item: Item
    resolve: (answer: Answer) => void
    reject: (error: unknown) => void
  }
  /** A lane is here for as long as there is something in it. */
  const lanes = new Map<string, Waiting[]>()

  async function work(lane: string, waiting: Waiting[]): Promise<void> {
    // What is put in within this turn of the loop is one batch.
    await Promise.resolve()
    while (waiting.length > 0) {
      const startMs = performance.now()
      await serve(waiting.splice(0, batchMax))
      const restMs = startMs + apartMs - performance.now()
      if (restMs > 0 && waiting.length < batchMax) await rest(Math.ceil(restMs))
    }
    lanes.delete(lane)
  }

  async function serve(batch: readonly Waiting[]): Promise<void> {
    try {
      const answers = await run(batch.map(({ item }) => item))
      for (const [at, { resolve }] of batch.entries()) resolve(answers[at] as Answer)
    } catch (error) {
      if (batch.length > 1 && isOfOne(error)) for (const each of batch) await serve([each])
      else for (const { reject } of batch) reject(error)
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      const lane = laneOf(item)
      const waiting = lanes.get(lane)
      const one = { item, resolve, reject }
      if (waiting !== undefined) return void waiting.push(one)
      const begun = [one]
      lanes.set(lane, begun)
      void work(lane, begun)
    })
}
