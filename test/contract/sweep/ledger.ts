import { expect } from 'vitest'
import { type CaseOf, cases, exceptions, type Sweep } from './cases.ts'
import type { Cast } from './cast.ts'
import { type Operation, operations } from './contract.ts'

/*
 * Which operation was put through which case. A sweep is done when each of its cases was run for
 * every operation that it is for.
 */

export interface Ledger<Name extends Sweep> {
  /** The operations of a case, for `test.each`. */
  of(name: CaseOf<Name>): Operation[]
  /** Notes that a case was run; fails the test when there is something to complain about. */
  settle(operation: Operation, name: CaseOf<Name>, complaints: readonly string[]): void
  /** Prints what was run; fails when a case was not run for an operation that it is for. */
  close(): void
}

const complaintsShown = 30

export function openLedger<Name extends Sweep>(sweep: Name, cast: () => Cast): Ledger<Name> {
  const own: Record<string, (operation: Operation) => boolean> = cases[sweep]
  const ran = new Set<string>()
  const of = (name: string) => operations.filter((operation) => own[name]?.(operation))
  const exceptedOf = ({ id }: Operation): Record<string, string> => exceptions[id] ?? {}

  return {
    of,
    settle(operation, name, complaints) {
      ran.add(`${operation.id} ${name}`)
      const found = [...complaints, ...cast().takeMisfits()]
      if (exceptedOf(operation)[name] !== undefined) {
        expect(found, `${operation.id}, ${name}: its exception is not needed`).not.toEqual([])
        return
      }
      if (found.length === 0) return
      const shown = found.slice(0, complaintsShown).join('\n  ')
      throw new Error(`${operation.id}, ${name}: ${found.length} complaints\n  ${shown}`)
    },
    close() {
      const names = Object.keys(own)
      const due = names.flatMap((name) => of(name).map(({ id }) => `${id} ${name}`))
      const counts = names.map((name) => `${name} ${of(name).length}`).join(', ')
      const excepted = names.flatMap((name) => of(name).filter((one) => exceptedOf(one)[name]))
      process.stdout.write(
        `sweep of ${sweep}: ${ran.size} of ${due.length} (${counts}), ${operations.length} ` +
          `operations, ${cast().judged()} replies judged, ${excepted.length} exceptions\n`,
      )
      expect(due.filter((one) => !ran.has(one))).toEqual([])
    },
  }
}
