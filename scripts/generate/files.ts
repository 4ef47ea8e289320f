import { readFileSync } from 'node:fs'
import { ContractError } from './breach.ts'
import { type Bundle, bundle } from './bundle.ts'
import { ContractPrinter } from './contract.ts'
import { printEvents, readEvents } from './events.ts'
import { findBreaches } from './guard.ts'
import { readOperations } from './model.ts'
import { printOperations } from './operations.ts'
import { header } from './print.ts'
import { printProblems } from './problems.ts'
import { printRoutes } from './routes.ts'
import { printSensitive } from './sensitive.ts'
import { printTypes } from './types.ts'
import { collectParts } from './validator-parts.ts'
import { printValidators } from './validators.ts'

/** Everything made from the contract, by its path below `generated/`. Throws `ContractError`. */
export async function contractFiles(rootFile: string): Promise<Map<string, string>> {
  using contract = new ContractPrinter(rootFile)
  const bundled = bundle(rootFile)
  try {
    const breaches = findBreaches(bundled.document)
    if (breaches.length > 0) throw new ContractError(breaches)
    const types = contract.print(bundled.document)
    const files = printFiles(bundled, rootFile)
    files.set('contract.ts', await types)
    return files
  } catch (error) {
    throw error instanceof ContractError ? located(bundled, error) : error
  }
}

function printFiles({ document }: Bundle, rootFile: string): Map<string, string> {
  const operations = readOperations(document)
  const events = readEvents(document)
  const parts = collectParts(operations, events)
  const { files, places } = printValidators(document, parts, rootFile)
  const runtime = readFileSync(new URL('runtime.js', import.meta.url), 'utf8')
  return new Map([
    ['openapi.json', `${JSON.stringify(document, null, 2)}\n`],
    ['types.ts', printTypes(document)],
    ['operations.ts', printOperations(operations)],
    ['routes.ts', printRoutes(document, operations, places)],
    ['problems.ts', printProblems(document)],
    ['sensitive.ts', printSensitive(document)],
    ['events.ts', printEvents(events, places)],
    ['validate.ts', validateType],
    ['validators/runtime.js', `${header}${runtime}`],
    ...[...files].map(([name, text]): [string, string] => [`validators/${name}`, text]),
  ])
}

/** The same breaches, each with the file in which it was written. */
function located({ origin }: Bundle, { breaches }: ContractError): ContractError {
  return new ContractError(breaches.map(({ at, message }) => ({ at: origin(at), message })))
}

const validateType = `${header}import type { ErrorObject } from 'ajv'

/** A compiled schema; after \`false\`, \`errors\` says why, until the next call. */
export type Validate = ((data: unknown) => boolean) & { errors?: ErrorObject[] | null }
`
