import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as rest } from 'node:timers/promises'
import { figure, spreadOf } from './rows.ts'

/** What the machine makes everybody wait for while nothing happens: each the p99, in ms. */
export interface Unrest {
  restMs: number
  flushMs: number
}

const lookedAtMs = 3_000
const page = Buffer.alloc(16 * 1_024)
const fileBytes = 64 * page.length

/**
 * Rests of one millisecond and flushes of 16 KiB to the disk, in turns, for three seconds. On a virtual
 * machine whose host is busy either may take fifty, and no latency is less than what it is made of.
 */
export async function measureUnrest(): Promise<Unrest> {
  const home = mkdtempSync(join(tmpdir(), 'ubos-unrest-'))
  const file = openSync(join(home, 'file'), 'w')
  const [rests, flushes] = [[] as number[], [] as number[]]
  const endMs = performance.now() + lookedAtMs
  for (let at = 0; performance.now() < endMs; at += page.length) {
    writeSync(file, page, 0, page.length, at % fileBytes)
    const begunMs = performance.now()
    fdatasyncSync(file)
    const flushedMs = performance.now()
    await rest(1)
    flushes.push(flushedMs - begunMs)
    rests.push(performance.now() - flushedMs)
  }
  closeSync(file)
  rmSync(home, { recursive: true })
  return { restMs: highOf(rests), flushMs: highOf(flushes) }
}

/** Said beside a latency, so that a figure of a restless machine is known by it. */
export function unrestNote(looks: readonly Unrest[]): string {
  const text = (values: readonly number[]) => {
    const { least, most } = spreadOf(values)
    return `${figure(least)}–${figure(most)} ms`
  }
  const [rests, flushes] = [looks.map(({ restMs }) => restMs), looks.map(({ flushMs }) => flushMs)]
  return `the machine idle, p99: a rest of 1 ms ${text(rests)}, a flush to disk ${text(flushes)}`
}

function highOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN
}
