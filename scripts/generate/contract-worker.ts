import { enableCompileCache } from 'node:module'
import { parentPort } from 'node:worker_threads'
import type { transformSchema as TransformSchema } from 'openapi-typescript'
import { cacheFolder } from './cache.ts'
import { header } from './print.ts'

enableCompileCache(cacheFolder)

/*
 * openapi-typescript's front door also lints and bundles, for which it loads a second copy of
 * Redocly; what comes from us is bundled and judged. So we go in by the side: half the time.
 */
const inside = 'openapi-typescript/dist'
const { default: transformSchema } = await import(`${inside}/transform/index.mjs`)
const { resolveRef, scanDiscriminators } = await import(`${inside}/lib/utils.mjs`)
const { astToString } = await import(`${inside}/lib/ts.mjs`)

const options: Partial<Parameters<typeof TransformSchema>[1]> = {
  additionalProperties: false,
  alphabetize: true,
  arrayLength: false,
  conditionalEnums: false,
  dedupeEnums: false,
  defaultNonNullable: false,
  emptyObjectsUnknown: false,
  enum: false,
  enumValues: false,
  excludeDeprecated: false,
  exportType: false,
  generatePathParams: false,
  immutable: false,
  makePathsEnum: false,
  pathParamsAsTypes: false,
  propertiesRequiredByDefault: false,
  readWriteMarkers: false,
  rootTypes: false,
  rootTypesKeepCasing: false,
  rootTypesNoSchemaPrefix: false,
  silent: true,
}

parentPort?.on('message', (document) => {
  const nodes = transformSchema(document, {
    ...options,
    discriminators: scanDiscriminators(document, {}),
    injectFooter: [],
    resolve: (ref: string) => resolveRef(document, ref, { silent: true }),
  })
  parentPort?.postMessage(`${header}${astToString(nodes)}`)
})
