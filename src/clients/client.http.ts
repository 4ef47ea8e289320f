import { record } from '#audit/record.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import { requireCurrency } from '#http/money.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import {
  deleteClient as deleteRow,
  findClient,
  findOpenInvoice,
  insertClient,
  lockClient,
  pageClients,
  updateClient as updateRow,
} from './client.sql.ts'
import { type Client, metadataMax, newClient, patchClient, toClient } from './client.ts'

export const createClient: Operation<'createClient'> = async (_ctx, call, { body }, tx) => {
  requireCurrency(body.currency)
  const client = newClient(tx.newId('cli'), body, call.now)
  const view = toClient(client)

  insertClient(tx, call.tenantId, client)
  record(tx, call, 'client.created', client.id, { after: view })
  publish(tx, call, 'client.created', view)
  return { status: 201, headers: { Location: `/api/v1/clients/${client.id}` }, body: view }
}

export const listClients: Operation<'listClients'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'clients', query)
  const clients = await pageClients(db, call.tenantId, query, page)
  return {
    status: 200,
    body: toPage(ctx, call, 'clients', query, clients, ({ id }) => [id], toClient),
  }
}

export const getClient: Operation<'getClient'> = async (_ctx, call, { path }, db) => {
  const client = found(await findClient(db, call.tenantId, path.clientId))
  return { status: 200, body: toClient(client) }
}

export const updateClient: Operation<'updateClient'> = async (_ctx, call, request, tx) => {
  const { path, headers, body } = request
  const client = found(await lockClient(tx, call.tenantId, path.clientId))
  requireMatch(headers['if-match'], client.revision)
  if (body.currency !== undefined) requireCurrency(body.currency)

  const patched = patchClient(client, body, call.now)
  requireFewNotes(patched)
  const [before, view] = [toClient(client), toClient(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateRow(tx, call.tenantId, patched)
  record(tx, call, 'client.updated', client.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'client.updated', view, { changedFields })
  return { status: 200, body: view }
}

export const deleteClient: Operation<'deleteClient'> = async (
  _ctx,
  call,
  { path, headers },
  tx,
) => {
  const client = found(await lockClient(tx, call.tenantId, path.clientId))
  requireMatch(headers['if-match'], client.revision)
  // Whoever issues an invoice holds the client, so none can become open behind this.
  const openInvoice = await findOpenInvoice(tx, call.tenantId, client.id)
  if (openInvoice) {
    throw problem('resource_in_use', { detail: `Invoice ${openInvoice} to the client is OPEN.` })
  }

  deleteRow(tx, call.tenantId, client, call.now)
  record(tx, call, 'client.deleted', client.id, { before: toClient(client) })
  publish(tx, call, 'client.deleted', toClient(client))
  return { status: 204 }
}

/** Each patch is within the bound, but what they add up to may not be. */
function requireFewNotes({ metadata }: Client): void {
  if (Object.keys(metadata).length <= metadataMax) return
  throw problem('invalid_request', {
    errors: [
      { pointer: '/metadata', code: 'too_many', message: `must have at most ${metadataMax} names` },
    ],
  })
}
