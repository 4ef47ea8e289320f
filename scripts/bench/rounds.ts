/**
 * Measures contenders in turns, `rounds` times, so that whatever disturbs the machine disturbs them
 * alike; each round begins with another of them. Answers what each measured, round by round. The
 * first round only warms up.
 */
export async function takeTurns<Measure>(
  contenders: readonly (() => Promise<Measure>)[],
  rounds: number,
): Promise<Measure[][]> {
  const measures = contenders.map((): Measure[] => [])
  for (let round = 0; round <= rounds; round += 1) {
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const at = (turn + round) % contenders.length
      const measure = await contenders[at]?.()
      if (round > 0 && measure !== undefined) measures[at]?.push(measure)
    }
  }
  return measures
}
