import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import { type TenantId, tenantId } from '#ids.ts'
import { type EnqueueOptions, enqueue } from '#jobs/enqueue.ts'
import { type JobRun, type Task, task, taskName } from '#jobs/task.ts'
import type { World } from '../world.ts'

/** A job of the tests' own: it says which one it is. */
export interface Errand {
  name: string
}

const errand = taskName<Errand>('ERRAND')

/** A task whose every run does what `run` says; patient for three runs, in quick succession. */
export function errands(
  run: (job: JobRun<Errand>) => Promise<object | undefined>,
  options: Partial<Omit<Task, 'name' | 'run'>> = {},
): Task {
  return task(errand, {
    timeoutMs: 30_000,
    attemptsMax: 3,
    backoff: { firstMs: 10, mostMs: 100 },
    ...options,
    run: (_ctx, job) => run(job),
  })
}

/** Queues errands of a tenant in one transaction; answers their jobs' ids. */
export async function ask(
  { ctx }: Pick<World, 'ctx'>,
  tenant: TenantId,
  names: readonly string[],
  options?: EnqueueOptions,
): Promise<string[]> {
  return await transact(ctx, tenant, async (tx) => {
    const cause = systemCause(ctx, 'test')
    return names.map((name) => enqueue(tx, cause, errand, { name }, options))
  })
}

/** The tenant of a caller. */
export async function tenantOf(api: World['api']): Promise<TenantId> {
  const { body } = await api.get('/api/v1/me')
  return tenantId(body.tenant.id)
}

export interface JobRow {
  id: string
  status: string
  attempt_count: number
  lease_token: string | null
  error: string | null
  result: object | null
  due_at: Date
  progress_done: string | null
  progress_total: string | null
}

export async function jobRow({ query }: Pick<World, 'query'>, id: string): Promise<JobRow> {
  const [row] = await query<JobRow>('select * from job where id = $1', [id])
  if (row === undefined) throw new Error(`no job ${id}`)
  return row
}
