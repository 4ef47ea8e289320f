import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take half a minute and more: begun last, one of them would go on alone at the end. */
const longest = [
  'db/silence',
  'chaos/chaos',
  'contract/sweep-tenants',
  'chaos/recovery',
  'webhooks/hostile-urls',
  'webhooks/batch',
  'chaos/kill-worker',
  'running/receipts',
  'tour/demo',
  'contract/sweep-idempotency',
  'inbound/hostile-urls',
  'contract/sweep-order',
  'chaos/checker',
  'tour/kill',
  'chaos/kill-api',
]

/** Begins with the files that take longest, which their size does not show. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((one, other) => placeOf(one) - placeOf(other))
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const place = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
  return place === -1 ? longest.length : place
}
