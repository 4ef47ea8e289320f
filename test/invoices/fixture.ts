import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { Api, Reply } from '../world.ts'

export const work = { description: 'Concept', quantity: 2.5, unitAmount: 480, taxRate: 20 }
export const hosting = { description: 'Hosting', quantity: 1, unitAmount: 99.9, taxRate: 20 }

export async function newClient(api: Api): Promise<string> {
  return (await api.post('/api/v1/clients', { name: 'Ada Ltd', currency: 'GBP' })).body.id
}

/** The path of a new draft over 1559.88 GBP, unless told otherwise. */
export async function draft(api: Api, more: object = {}): Promise<string> {
  const own = { currency: 'GBP', lines: [work, hosting], ...more }
  const clientId = 'clientId' in own ? own.clientId : await newClient(api)
  const created = await api.post('/api/v1/invoices', { ...own, clientId })
  expect(created.status).toBe(201)
  return created.headers.get('location') ?? ''
}

/** The path of a new open invoice over so many GBP. */
export async function open(api: Api, amount: number, more: object = {}): Promise<string> {
  const lines = [{ description: 'Work', quantity: 1, unitAmount: amount }]
  const path = await draft(api, { lines, ...more })
  expect((await api.post(`${path}/issuance`)).status).toBe(200)
  return path
}

export const idOf = (path: string): string => path.split('/')[4] ?? ''

/** A payment, or a refund, under a key of its own. */
export function send(api: Api, path: string, body: object): Promise<Reply> {
  return api.post(path, body, { 'idempotency-key': randomUUID() })
}

export function pay(api: Api, invoice: string, amount: number, more: object = {}): Promise<Reply> {
  const invoiceId = idOf(invoice)
  return send(api, '/api/v1/payments', { amount, currency: 'GBP', invoiceId, ...more })
}

/** The path of a proposal that the client accepted, over 1559.88 GBP. */
export async function accepted(api: Api, clientId: string): Promise<string> {
  const offer = { clientId, title: 'Relaunch', currency: 'GBP', lines: [work, hosting] }
  const path = (await api.post('/api/v1/proposals', offer)).headers.get('location') ?? ''
  await api.post(`${path}/submission`)
  expect((await api.post(`${path}/acceptance`)).status).toBe(200)
  return path
}
