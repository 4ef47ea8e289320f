import pg from 'pg'
import type { World } from '../../world.ts'

/*
 * Two fences keep tenants apart: the conditions of our own SQL, and the policies of the database.
 * Here each is taken away, so that the other is seen to hold by itself.
 */

type Query = (this: unknown, ...args: unknown[]) => unknown

const condition = /((?:"?\w+"?\.)?"?tenant_id"?) = (\$\d+)/g

/** The statement without its conditions on the tenant; what is bound to them stays in use. */
export function withoutConditions(text: string): string {
  return text.replaceAll(condition, '($2::text is not null)')
}

/**
 * Takes the conditions on the tenant out of what the API sends to Postgres, until the answer is
 * called. Counts the statements that it changed.
 */
export function removeConditions(): { changed(): number; restore(): void } {
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const { query } = prototype
  let changed = 0
  prototype.query = function (first, ...rest) {
    const { connectionParameters } = this as { connectionParameters: { application_name: string } }
    const config = first as pg.QueryConfig
    if (connectionParameters.application_name !== 'ubos_api' || typeof config?.text !== 'string') {
      return query.call(this, first, ...rest)
    }
    const text = withoutConditions(config.text)
    if (text === config.text) return query.call(this, first, ...rest)
    changed += 1
    const { name } = config
    return query.call(
      this,
      { ...config, text, ...(name === undefined ? {} : { name: `${name}_bare` }) },
      ...rest,
    )
  }
  return {
    changed: () => changed,
    restore() {
      prototype.query = query
    },
  }
}

/** Lets the policies of the database let everything through; answers how many there were. */
export async function removePolicies({ query }: World): Promise<number> {
  const policies = await query<{ name: string }>(
    `select polrelid::regclass::text as name from pg_policy where polname = 'tenant_fence'`,
  )
  // One at a time: together they would wait for the worker in a circle.
  for (const { name } of policies) {
    await query(`alter policy tenant_fence on ${name} using (true) with check (true)`)
  }
  return policies.length
}
