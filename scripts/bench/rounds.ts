/**
 * Measures contenders in turns, `rounds` times, so that whatever disturbs the machine disturbs them
 * alike; each round begins with another of them. Answers what each measured, round by round; the
 * rounds before only warm up, until what runs is what runs for the rest of a server's life.
 */
export async function takeTurns<Measure>(
  contenders: readonly (() => Promise<Measure>)[],
  rounds: number,
  warmUps = 1,
): Promise<Measure[][]> {
  const measures = contenders.map((): Measure[] => [])
  for (let round = 0; round < warmUps + rounds; round += 1) {
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const at = (turn + round) % contenders.length
      const measure = await contenders[at]?.()
      if (round >= warmUps && measure !== undefined) measures[at]?.push(measure)
    }
  }
  return measures
}
