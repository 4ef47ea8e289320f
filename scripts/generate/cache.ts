import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'

export const cacheFolder = join(import.meta.dirname, '../../node_modules/.cache/ubos-generate')

/**
 * What was made before and needs not be made again, by a key that says all that went into it. It
 * makes `generate` fast, never different: without its file everything is made anew.
 */
export class Cache<T> {
  readonly #prefix: string
  readonly #file: string
  readonly #known: Record<string, T>
  readonly #used: Record<string, T> = {}
  #isChanged = false

  /** Of one contract, by its root; `makers` are the files whose code makes what is kept. */
  constructor(name: string, rootFile: string, makers: readonly string[]) {
    const texts = makers.map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
    this.#prefix = `${name}-${hashOf(resolve(rootFile))}-`
    this.#file = join(cacheFolder, `${this.#prefix}${hashOf(...texts)}.json`)
    this.#known = existsSync(this.#file) ? JSON.parse(readFileSync(this.#file, 'utf8')) : {}
  }

  find(key: string): T | undefined {
    const value = Object.hasOwn(this.#known, key) ? this.#known[key] : undefined
    if (value !== undefined) this.#used[key] = value
    return value
  }

  keep(key: string, value: T): void {
    this.#used[key] = value
    this.#isChanged = true
  }

  /** Writes down what was used this time, and forgets the rest. */
  save(): void {
    if (!this.#isChanged) return
    mkdirSync(cacheFolder, { recursive: true })
    const draft = `${this.#file}.${process.pid}`
    writeFileSync(draft, JSON.stringify(this.#used))
    renameSync(draft, this.#file)
    this.#sweep()
  }

  /** Versions of other makers, and contracts that nobody has generated from for a week. */
  #sweep(): void {
    const weekAgo = Date.now() - 7 * 24 * 60 * 60 * 1000
    for (const name of readdirSync(cacheFolder).filter((file) => file.endsWith('.json'))) {
      const file = join(cacheFolder, name)
      const isReplaced = name.startsWith(this.#prefix) && file !== this.#file
      if (isReplaced || statSync(file).mtimeMs < weekAgo) rmSync(file, { force: true })
    }
  }
}

export function hashOf(...texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\0')
  return hash.digest('hex').slice(0, 20)
}
