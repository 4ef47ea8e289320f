import type { Recovered } from '../recovery.ts'

const shownMax = 20

/** Prints how long it took, and what is wrong; answers whether all is well. */
export function printRecovery(
  recovered: Recovered,
  say: (line: string) => void = console.log,
): boolean {
  const { events, tookMs, doubled, inDoubt, waits, balance, findings, isSettled } = recovered
  const perSecond = Math.round((events * 1_000) / tookMs)
  say('')
  say(`told again   ${events.toLocaleString('en')} in ${(tookMs / 1_000).toFixed(1)} s`)
  say(`a second     ${perSecond.toLocaleString('en')}, with all workers and Postgres killed once`)
  say(`twice        ${doubled}, of ${inDoubt} attempts that were under way at a kill`)
  say(`live, quiet  ${quantiles(waits.quiet)}`)
  say(`live, beside ${quantiles(waits.beside)}, apart from the kills`)
  say(`balance      samples ${balance.samples}, worst imbalance ${balance.worst}`)
  for (const { kind, what, where } of findings.slice(0, shownMax)) say(`${kind}  ${what}: ${where}`)
  if (findings.length > shownMax) say(`… and ${findings.length - shownMax} more`)
  if (!isSettled) say('It did not come to rest.')
  return findings.length === 0 && isSettled
}

function quantiles(waits: readonly number[]): string {
  const sorted = waits.toSorted((one, other) => one - other)
  const at = (share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(
      1,
    )
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms of ${sorted.length}`
}
