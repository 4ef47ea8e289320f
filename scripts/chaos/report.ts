import type { Finding } from './checker/finding.ts'
import { wordsFor } from './plan.ts'
import type { Outcome } from './run.ts'
import type { Recovery } from './watch.ts'

const shownMax = 20

/** Prints what went wrong, how it was got over, and what is left; answers whether all is well. */
export function printOutcome(outcome: Outcome, say: (line: string) => void = console.log): boolean {
  const { recoveries, findings, deeds, log, misdeeds, answers, ownEnds } = outcome
  say('')
  say(
    ['at', 'injected', 'over', 'first write', 'first told', 'pause w', 'pause t', 'caught up']
      .map(aligned)
      .join(''),
  )
  for (const recovery of recoveries) say(rowOf(recovery).map(aligned).join(''))
  const counted = (counts: Iterable<[string | number, number]>) =>
    [...counts].map(([name, count]) => `${name || 'none'} ${count.toLocaleString('en')}`).join(', ')
  say('')
  const perSecond = Math.round((deeds.acknowledged * 1_000) / outcome.writingMs)
  say(`writes       ${counted(Object.entries(deeds))}; ${perSecond} a second`)
  say(`answers      ${counted([...answers].sort(([one], [other]) => one - other))}`)
  say(`log          ${counted(Object.entries(log))}`)
  say(`receivers    ${counted(Object.entries(misdeeds)) || 'were kind'}`)
  say(`changes      ${counted(outcome.changes) || 'none'}`)
  say(`made again   ${counted(Object.entries(outcome.replayed))}`)
  say(`balance      samples ${outcome.balance.samples}, worst imbalance ${outcome.balance.worst}`)
  say(
    `took         ${seconds(outcome.writingMs)} to write, ${seconds(outcome.settlingMs)} to settle`,
  )
  for (const end of ownEnds) say(`ended        ${end}, by itself`)
  for (const { kind, what, where } of findings.slice(0, shownMax)) say(`${kind}  ${what}: ${where}`)
  if (findings.length > shownMax) say(`… and ${findings.length - shownMax} more`)
  if (!outcome.isSettled) say('It did not come to rest.')
  const count = (kind: Finding['kind']) => findings.filter((each) => each.kind === kind).length
  say('')
  say(`lost ${count('LOST')}   doubled ${count('DOUBLED')}   broken ${count('BROKEN')}`)
  return findings.length === 0 && outcome.isSettled
}

function rowOf(recovery: Recovery): string[] {
  return [
    `${(recovery.injection.at * 100).toFixed(1)} %`,
    wordsFor(recovery.injection),
    ...[recovery.overMs, recovery.firstWriteMs, recovery.firstDeliveryMs].map(seconds),
    ...[recovery.writesPausedMs, recovery.deliveriesPausedMs, recovery.caughtUpMs].map(seconds),
  ]
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? 'never' : `${(ms / 1_000).toFixed(2)} s`
}

function aligned(cell: string, column: number): string {
  return column === 1 ? `  ${cell.padEnd(44)}` : cell.padStart(column === 0 ? 7 : 12)
}
