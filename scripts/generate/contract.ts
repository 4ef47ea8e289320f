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
 * TypeScript compiler take longer than all else together, so they work on a thread of their own, and
 * only when the bundle has changed.
 */
export async function printContract(document: JsonObject, rootFile: string): Promise<string> {
  const cache = new Cache<string>('contract', rootFile, makers)
  const key = hashOf(JSON.stringify(document))
  const known = cache.find(key)
  if (known !== undefined) return known
  const text = await inWorker(document)
  cache.keep(key, text)
  cache.save()
  return text
}

function inWorker(document: JsonObject): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const program = new URL('contract-worker.ts', import.meta.url)
  const worker = new Worker(program, { workerData: document })
  worker.once('message', resolve)
  worker.once('error', reject)
  return promise
}
