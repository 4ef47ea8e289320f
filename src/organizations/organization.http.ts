import { record } from '#audit/record.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found } from '#http/problem.ts'
import { openOrganization, openTenant } from './opening.ts'
import { findOrganization, pageOrganizations } from './organization.sql.ts'
import { type Organization, toOrganization } from './organization.ts'

export const createOrganization: Operation<'createOrganization'> = async (
  ctx,
  call,
  { body },
  tx,
) => {
  const { view, adminKeys } = openOrganization(ctx, tx, call, body.name)
  return {
    status: 201,
    headers: { Location: `/api/v1/organizations/${view.id}` },
    body: { ...view, adminKeys },
  }
}

export const listOrganizations: Operation<'listOrganizations'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const page = pageOf(ctx, call, 'organizations', query)
  const organizations = await pageOrganizations(db, query, page)
  const placeOf = ({ id }: Organization) => [id]
  return {
    status: 200,
    body: toPage(ctx, call, 'organizations', query, organizations, placeOf, toOrganization),
  }
}

export const getOrganization: Operation<'getOrganization'> = async (_ctx, _call, { path }, db) => {
  const organization = found(await findOrganization(db, path.organizationId))
  return { status: 200, body: toOrganization(organization) }
}

export const createOrganizationAdminKey: Operation<'createOrganizationAdminKey'> = async (
  ctx,
  call,
  { path, body },
  tx,
) => {
  const organization = found(await findOrganization(tx, path.organizationId))
  const inside = tx.forTenant(organization.tenants[body.environment])
  const adminKey = openTenant(ctx, inside, call, body.environment)
  record(tx, call, 'organization.admin_key_created', organization.id, {
    after: { apiKeyId: adminKey.id, environment: body.environment },
  })
  return {
    status: 201,
    headers: { Location: `/api/v1/api-keys/${adminKey.id}` },
    body: adminKey,
  }
}
