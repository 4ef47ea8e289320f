/** Something whose time is taken; `before` is done first and does not count. */
export interface Contender {
  name: string
  run: () => Promise<unknown>
}

/** What was measured of one contender, in ms for one run. */
export interface Figure {
  name: string
  median: number
  least: number
  most: number
}

/**
 * Runs contenders in turns, `rounds` times `runs` each, so that whatever disturbs the machine disturbs
 * them alike. Answers the median over rounds of each round's mean, with the least and the most.
 */
export async function inTurns(
  contenders: readonly Contender[],
  { rounds, runs }: { rounds: number; runs: number },
): Promise<Figure[]> {
  const means = contenders.map((): number[] => [])
  for (let round = 0; round <= rounds; round += 1) {
    for (const [at, { run }] of contenders.entries()) {
      const startMs = performance.now()
      for (let count = 0; count < runs; count += 1) await run()
      // The first round only warms up.
      if (round > 0) means[at]?.push((performance.now() - startMs) / runs)
    }
  }
  return contenders.map(({ name }, at) => ({ name, ...summary(means[at] ?? []) }))
}

function summary(values: readonly number[]): Omit<Figure, 'name'> {
  const sorted = values.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  return { median, least: sorted[0] ?? median, most: sorted.at(-1) ?? median }
}

/** One line of a table: the contender, its times, and its ratio to the first. */
export function lineOf({ name, median, least, most }: Figure, first: Figure): string {
  const ms = (value: number) => value.toFixed(3)
  return `| ${name} | ${ms(median)} (${ms(least)}–${ms(most)}) | ${(median / first.median).toFixed(2)} |`
}
