import { randomInt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isCode } from './files.ts'

const portFileOf = (home: string) => join(home, 'port')

/** The port of the last time, so that an address noted in somebody's tool stays true. */
export function rememberedPort(home: string): number | undefined {
  try {
    const port = Number(readFileSync(portFileOf(home), 'utf8'))
    return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

export function rememberPort(home: string, port: number): void {
  writeFileSync(portFileOf(home), `${port}\n`)
}

/**
 * Lies below the ports that systems give to outgoing connections. From among those, a pool that
 * redials a server that is just being restarted could be given the server's own port, and keep it.
 */
export function newPort(): number {
  return randomInt(20_000, 30_000)
}
