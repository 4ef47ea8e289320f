import { isDeepStrictEqual } from 'node:util'
import { canonicalIps } from '#api-keys/input.ts'
import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import type { Tx } from '#db/transact.ts'
import { judgeUrl } from '#egress/address.ts'
import { type AllowedHosts, allowsUrl, notAllowed } from '#egress/hosts.ts'
import { findAllowedHosts } from '#egress/policy.sql.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import type { Flaw, Settings } from './scheme.ts'
import { schemes } from './schemes.ts'
import {
  countSources,
  deleteSource,
  findSource,
  insertSource,
  lockSource,
  pageSources,
  updateSource,
} from './source.sql.ts'
import {
  flawsOfDedupe,
  newSource,
  patchSource,
  type Sealed,
  type Source,
  secretsOf,
  secretsPlace,
  sourcesMax,
  toSource,
} from './source.ts'

export const createInboundSource: Operation<'createInboundSource'> = async (
  ctx,
  call,
  { body },
  tx,
) => {
  const { secrets = [] } = body
  const allowedIps = canonicalIps(body.allowedIps)
  const id = tx.newId('src')
  const source = newSource(id, body, seal(ctx, call, id, secrets), allowedIps, call.now)
  await requireFlawless(ctx, tx, source, secrets)
  if ((await countSources(tx, call.tenantId)) >= sourcesMax) {
    throw problem('limit_reached', { detail: `A tenant has at most ${sourcesMax} sources.` })
  }
  const view = toSource(source, ctx.config.publicUrl)

  insertSource(tx, call.tenantId, source)
  record(tx, call, 'inbound_source.created', id, { after: view })
  publish(tx, call, 'inbound_source.created', view)
  return { status: 201, headers: { Location: `/api/v1/inbound-sources/${id}` }, body: view }
}

export const listInboundSources: Operation<'listInboundSources'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const page = pageOf(ctx, call, 'inbound-sources', query)
  const sources = await pageSources(db, call.tenantId, query, page)
  const placeOf = ({ id }: Source) => [id]
  const show = (source: Source) => toSource(source, ctx.config.publicUrl)
  return {
    status: 200,
    body: toPage(ctx, call, 'inbound-sources', query, sources, placeOf, show),
  }
}

export const getInboundSource: Operation<'getInboundSource'> = async (ctx, call, { path }, db) => {
  const source = found(await findSource(db, call.tenantId, path.inboundSourceId))
  return { status: 200, body: toSource(source, ctx.config.publicUrl) }
}

export const updateInboundSource: Operation<'updateInboundSource'> = async (
  ctx,
  call,
  { path, headers, body },
  tx,
) => {
  const allowedIps = body.allowedIps && canonicalIps(body.allowedIps)
  const source = found(await lockSource(tx, call.tenantId, path.inboundSourceId))
  requireMatch(headers['if-match'], source.revision)

  const secrets = secretsOf(ctx, call.tenantId, source)
  const { secrets: wanted = secrets } = body
  const isOther = !isDeepStrictEqual(wanted, secrets)
  const sealed = isOther ? seal(ctx, call, source.id, wanted) : undefined
  const patched = patchSource(source, body, sealed, allowedIps, call.now)
  await requireFlawless(ctx, tx, patched, wanted)

  const [before, view] = [source, patched].map((one) => toSource(one, ctx.config.publicUrl))
  if (before === undefined || view === undefined) throw new Error('two views of a source')
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateSource(tx, call.tenantId, patched)
  record(tx, call, 'inbound_source.updated', source.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'inbound_source.updated', view, { changedFields })
  return { status: 200, body: view }
}

export const deleteInboundSource: Operation<'deleteInboundSource'> = async (
  ctx,
  call,
  { path, headers },
  tx,
) => {
  const source = found(await lockSource(tx, call.tenantId, path.inboundSourceId))
  requireMatch(headers['if-match'], source.revision)
  const view = toSource(source, ctx.config.publicUrl)

  const { secrets: nothing } = seal(ctx, call, source.id, [])
  deleteSource(tx, call.tenantId, source.id, nothing, call.now)
  record(tx, call, 'inbound_source.deleted', source.id, { before: view })
  publish(tx, call, 'inbound_source.deleted', view)
  return { status: 204 }
}

function seal(
  { secrets }: Context,
  { tenantId }: Call,
  sourceId: string,
  plain: readonly string[],
): Sealed {
  const place = secretsPlace(tenantId, sourceId)
  return { secrets: secrets.seal(place, JSON.stringify(plain)), secretCount: plain.length }
}

/** Refuses what could never verify anything, and names the field. */
async function requireFlawless(
  ctx: Context,
  tx: Tx,
  source: Source,
  secrets: readonly string[],
): Promise<void> {
  const { scheme, settings } = source
  const allowed = await findAllowedHosts(tx, tx.tenantId)
  const flaws = [
    ...schemes[scheme].flaws({ settings, secrets }),
    ...flawsOfKeysUrl(ctx, settings, allowed),
    ...flawsOfDedupe(source),
  ]
  const [first] = flaws
  if (first === undefined) return
  throw problem('invalid_request', {
    detail: `${first.pointer} ${first.message}.`,
    errors: flaws.map(({ pointer, message }) => ({ pointer, code: 'unfit', message })),
  })
}

/** Keys are fetched for whoever sends something, so that the address is looked at once before. */
function flawsOfKeysUrl({ config }: Context, { jwksUrl }: Settings, allowed: AllowedHosts): Flaw[] {
  if (typeof jwksUrl !== 'string') return []
  const pointer = '/settings/jwksUrl'
  if (!judgeUrl(jwksUrl, config.egress).ok) {
    return [{ pointer, message: 'is not a URL that we may fetch from' }]
  }
  return allowsUrl(allowed, jwksUrl) ? [] : [{ pointer, message: notAllowed }]
}
