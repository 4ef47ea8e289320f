import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * Builds a directory aside and renames it into place. Nobody ever sees half of it, and when two
 * processes build the same one, the first wins and the other throws its own away.
 */
export async function buildAside(
  target: string,
  build: (draft: string) => void | Promise<void>,
): Promise<void> {
  const draft = `${target}.new.${process.pid}`
  mkdirSync(draft, { mode: 0o700 })
  try {
    await build(draft)
    syncDirectory(draft)
    renameSync(draft, target)
    syncDirectory(dirname(target))
  } catch (error) {
    await remove(draft)
    if (!isCode(error, 'ENOTEMPTY', 'EEXIST')) throw error
  }
}

/** Removes what processes that were killed while building have left behind. */
export async function sweepDrafts(home: string): Promise<void> {
  for (const name of readdirSync(home)) {
    const pid = Number(/\.new\.(\d+)$/.exec(name)?.[1] ?? Number.NaN)
    // In containers the next process gets the same pid: a draft under our own is not ours.
    if (pid === process.pid || (pid > 0 && !isAlive(pid))) await remove(join(home, name))
  }
}

/**
 * A killed starter's initdb may be at work for another moment. (`rmSync` would take a file that
 * vanishes under its hands for the end of its work, and report success.)
 */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5 })
}

/** A rename survives a power cut only when its directory has been synced. */
function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return isCode(error, 'EPERM')
  }
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
