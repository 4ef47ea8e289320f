import { createHash } from 'node:crypto'
import Fastify from 'fastify'
import pg from 'pg'
import type { ClientInput } from '#generated/types.ts'
import { type Client, newClient, toClient } from '../../../src/clients/client.ts'
import { createClock } from '../../../src/clock.ts'
import { dayOf, type Id } from '../../../src/ids.ts'
import { serveParent } from '../server.ts'

/*
 * The alternatives, on bare Fastify and `pg` with named statements, as the owner of the tables, so
 * that no policy is looked at. Nothing is validated, no key is asked for, no call is accounted for.
 *   POST /single   the client alone, in one insert that commits by itself
 *   POST /awaited  what the product writes, behind its fence, statement after statement
 *   GET /clients/:id and GET /clients   one named select, no transaction
 */
const [, , ownerUrl = '', apiUrl = '', tenantId = ''] = process.argv
const clock = createClock()
const owner = new pg.Pool({ connectionString: ownerUrl, max: 16 })
const fenced = new pg.Pool({ connectionString: apiUrl, max: 16, options: '-c role=ubos_api' })

const columns =
  'tenant_id, id, external_id, name, email, phone, tax_number, address, currency, metadata, ' +
  'revision, created_at, updated_at'
const insertText = (table: string) =>
  `insert into ${table} (${columns})
   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

function valuesOf(client: Client): unknown[] {
  return [
    tenantId,
    client.id,
    client.externalId,
    client.name,
    client.email,
    client.phone,
    client.taxNumber,
    JSON.stringify(client.address),
    client.currency,
    JSON.stringify(client.metadata),
    client.revision,
    client.createdAt,
    client.updatedAt,
  ]
}

function fromRow(row: Record<string, unknown>): Client {
  return {
    id: row.id as Id<'cli'>,
    externalId: row.external_id as string,
    name: row.name as string,
    email: row.email as string,
    phone: row.phone as string,
    taxNumber: row.tax_number as string,
    address: row.address as Client['address'],
    currency: row.currency as string,
    metadata: row.metadata as Client['metadata'],
    revision: row.revision as number,
    createdAt: row.created_at as Date,
    updatedAt: row.updated_at as Date,
  }
}

const app = Fastify()

app.post('/single', async ({ body }, reply) => {
  const client = newClient(clock.newId('cli'), body as ClientInput, clock.now())
  const values = valuesOf(client)
  await owner.query({ name: 'single', text: insertText('bare_client'), values })
  return reply.code(201).send(toClient(client))
})

app.post('/awaited', async ({ body, headers }, reply) => {
  const now = clock.now()
  const client = newClient(clock.newId('cli'), body as ClientInput, now)
  const view = toClient(client)
  const answer = JSON.stringify(view)
  const [event, entry] = [clock.newId('evt'), clock.newId('aud')]
  const key = String(headers['idempotency-key'])
  const fingerprint = createHash('sha256').update(JSON.stringify(body)).digest()
  const envelope = { id: event, type: 'client.created', version: 1, timestamp: now, data: view }
  const connection = await fenced.connect()
  try {
    await connection.query(
      `begin; set local ubos.tenant_id = '${tenantId}';
       select pg_try_advisory_xact_lock(${fingerprint.readBigInt64BE(0)})`,
    )
    const write = (name: string, text: string, values: unknown[]) =>
      connection.query({ name, text, values })
    await write('client', insertText('client'), valuesOf(client))
    await write(
      'event',
      `insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id,
         body) values ($1, $2, $3, $4, $5, $6, $7, convert_to($8, 'UTF8'))`,
      [tenantId, event, dayOf(event), 'client.created', 1, now, event, JSON.stringify(envelope)],
    )
    await write(
      'event_pending',
      'insert into event_pending (tenant_id, event_id, created_on, type) values ($1, $2, $3, $4)',
      [tenantId, event, dayOf(event), 'client.created'],
    )
    await write(
      'audit',
      `insert into audit (tenant_id, id, created_on, occurred_at, action, resource_id, actor_type,
         actor_id, request_id, correlation_id, ip, after)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      [
        tenantId,
        entry,
        dayOf(entry),
        now,
        'client.created',
        client.id,
        'API_KEY',
        event,
        event,
      ].concat([event, '127.0.0.1', answer]),
    )
    await write(
      'audit_pending',
      'insert into audit_pending (tenant_id, audit_id, created_on) values ($1, $2, $3)',
      [tenantId, entry, dayOf(entry)],
    )
    await write(
      'idempotency',
      `insert into idempotency (tenant_id, key, fingerprint, status, headers, body, is_sealed,
         created_at) values ($1, $2, $3, $4, $5, $6, false, $7)`,
      [tenantId, key, fingerprint, 201, '{"etag":"1"}', Buffer.from(answer), now],
    )
    await connection.query('commit')
    connection.release()
  } catch (error) {
    connection.release(true)
    throw error
  }
  return reply.code(201).send(view)
})

app.get<{ Params: { id: string } }>('/clients/:id', async ({ params }, reply) => {
  const { rows } = await owner.query({
    name: 'by_id',
    text: `select ${columns} from bare_client where tenant_id = $1 and id = $2`,
    values: [tenantId, params.id],
  })
  return rows[0] ? toClient(fromRow(rows[0])) : reply.code(404).send()
})

app.get('/clients', async () => {
  const { rows } = await owner.query({
    name: 'page',
    text: `select ${columns} from bare_client where tenant_id = $1 order by id desc limit $2`,
    values: [tenantId, 51],
  })
  return { data: rows.slice(0, 50).map((row) => toClient(fromRow(row))), nextCursor: null }
})

const url = await app.listen({ host: '127.0.0.1', port: 0 })
serveParent(url, async () => {
  await app.close()
  await Promise.all([owner.end(), fenced.end()])
})
