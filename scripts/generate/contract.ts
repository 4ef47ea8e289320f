import { Worker } from 'node:worker_threads'
import { Cache, hashOf } from './cache.ts'
import type { JsonObject } from './json.ts'

const makers = [
  'contract-worker.ts',
  'print.ts',
  '../../node_modules/openapi-typescript/package.json',
  '../../node_modules/typescript/package.json',
]

/**
 * `generated/contract.ts`: the types that openapi-typescript makes of the bundle. It and the
 * TypeScript compiler take longer than all else together, so they work on a thread of their own,
 * which begins to load them while the bundle is still being made; and only when it has changed.
 */
export class ContractPrinter implements Disposable {
  readonly #worker = new Worker(new URL('contract-worker.ts', import.meta.url))
  readonly #cache: Cache<string>

  constructor(rootFile: string) {
    this.#cache = new Cache('contract', rootFile, makers)
  }

  async print(document: JsonObject): Promise<string> {
    const key = hashOf(JSON.stringify(document))
    const known = this.#cache.find(key)
    if (known !== undefined) return known
    const text = await this.#ask(document)
    this.#cache.keep(key, text)
    this.#cache.save()
    return text
  }

  #ask(document: JsonObject): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.#worker.once('message', resolve)
    this.#worker.once('error', reject)
    this.#worker.postMessage(document)
    return promise
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate()
  }
}
