import type { Context } from '#context.ts'
import { findLastAnchor, insertAnchor, lockMovedHeads, takeAnchorTurn } from './anchor.sql.ts'
import { type Anchor, anchorDigest, toAnchor } from './anchor.ts'

/** What was done since the last anchor is the least protected; anchors cost next to nothing. */
export const anchorEveryMs = 60 * 60 * 1_000

/**
 * Makes an anchor when the last one is an hour old, whoever made that one. It goes into the log as
 * well, from where it can be kept outside of this installation.
 */
export async function anchorAudit(ctx: Context): Promise<void> {
  const client = await ctx.db.worker.connect()
  try {
    await client.query('begin')
    const anchor = (await takeAnchorTurn(client)) ? await nextAnchor(ctx, client) : undefined
    if (anchor) await insertAnchor(client, anchor)
    await client.query('commit')
    client.release()
    if (anchor === undefined) return
    const shown = toAnchor({ ...anchor, headCount: anchor.heads.length })
    ctx.log.info({ anchor: shown }, 'audit anchored')
  } catch (error) {
    client.release(true)
    throw error
  }
}

async function nextAnchor(
  { clock, secrets }: Context,
  client: Parameters<typeof insertAnchor>[0],
): Promise<Anchor | undefined> {
  const last = await findLastAnchor(client)
  const anchoredAt = clock.now()
  if (last && anchoredAt.getTime() - last.anchoredAt.getTime() < anchorEveryMs) return undefined
  const heads = await lockMovedHeads(client)
  const number = (last?.number ?? 0) + 1
  const previousDigest = last?.digest ?? null
  const digest = anchorDigest({ number, anchoredAt, previousDigest, heads })
  const mac = secrets.attest(digest)
  return { number, anchoredAt, previousDigest, heads, digest, keyId: secrets.keyId, mac }
}
