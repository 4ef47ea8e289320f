/**
 * Lets one statement do the work of many: what is put in while a batch is under way goes into the
 * next one. `run` answers one result for each item, in their order. An error is everybody's in its
 * batch, unless `isOfOne` says that one item must be to blame: then each is tried by itself.
 */
export function gather<Item, Answer>(
  run: (items: readonly Item[]) => Promise<readonly Answer[]>,
  { batchMax, isOfOne }: { batchMax: number; isOfOne: (error: unknown) => boolean },
): (item: Item) => Promise<Answer> {
  interface Waiting {
    item: Item
    resolve: (answer: Answer) => void
    reject: (error: unknown) => void
  }
  const waiting: Waiting[] = []
  let isUnderWay = false

  async function work(): Promise<void> {
    isUnderWay = true
    // What is put in within this turn of the loop is one batch.
    await Promise.resolve()
    while (waiting.length > 0) {
      await serve(waiting.splice(0, batchMax))
    }
    isUnderWay = false
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
      waiting.push({ item, resolve, reject })
      if (!isUnderWay) void work()
    })
}
