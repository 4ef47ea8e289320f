import { build } from '#db/database.ts'
import { statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Id, TenantId } from '#ids.ts'

/**
 * Queues word to every process to forget what it has cached of a key, or of all keys of a service
 * account or tenant. Queue it last: its position is one row for all, locked until the commit.
 */
export function announceChange(tx: Tx, id: Id<'key'> | Id<'sva'> | TenantId, now: Date): void {
  tx.queue(keyChanged.bind({ id, now }))
}

const keyChanged = statement('key_change_insert', (a: { id: string; now: Date }) =>
  build
    .with('head', (db) =>
      db
        .updateTable('key_change_head')
        .set((column) => ({ position: column('position', '+', '1') }))
        .returning('position'),
    )
    .insertInto('key_change')
    .columns(['position', 'api_key_id', 'changed_at'])
    .expression((db) =>
      db
        .selectFrom('head')
        .select((column) => [
          'position',
          column.cast<string>(column.val(a.id), 'text').as('api_key_id'),
          column.cast<Date>(column.val(a.now), 'timestamptz').as('changed_at'),
        ]),
    ),
)
