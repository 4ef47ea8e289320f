import { setTimeout as pause } from 'node:timers/promises'
import { type Api, ApiRefused } from './api.ts'
import { type Block, blocksIn } from './blocks.ts'
import { isMeant, typesOf, unknownType } from './types.ts'
import { isTaken, type View } from './view.ts'
import { newSecret, post, reasonOf } from './webhook.ts'
import { type ListenWish, Misuse } from './words.ts'

/** Where a listener is, and what it has done. */
interface Progress {
  /** Behind this it goes on; undefined before the stream has said where it begins. */
  position: number | undefined
  forwarded: number
  refused: number
  /** Whether the stream said anything since it was opened. */
  isUnderWay: boolean
}

/** Three signs of life that did not come. */
const silenceMs = 45_000
const restMs = { first: 500, most: 15_000 }

/** Forwards events until the signal; answers the exit code. Throws what cannot get better. */
export async function listen(
  api: Api,
  { url, types, secret = newSecret(), after }: ListenWish,
  view: View,
  signal: AbortSignal,
): Promise<number> {
  await requireTypes(api, types)
  const progress: Progress = { position: after, forwarded: 0, refused: 0, isUnderWay: false }
  const forward = (block: Block) => forwardTo(url, secret, types, block, progress, view)
  let isFirst = true
  let failures = 0
  while (!signal.aborted) {
    progress.isUnderWay = false
    try {
      const quiet = new AbortController()
      const stream = await api.stream(progress.position, AbortSignal.any([signal, quiet.signal]))
      if (isFirst) {
        view.note('listening', `Forwarding to ${url}; verify with ${secret}`, { url, secret })
      } else view.note('resumed', `Connected again, behind position ${progress.position}.`)
      isFirst = false
      await follow(stream, quiet, progress, forward)
    } catch (error) {
      if (signal.aborted) break
      if (error instanceof ApiRefused && (isFirst || error.isFinal())) throw error
      const why = error instanceof ApiRefused ? error.message : reasonOf(error)
      view.note('broken', `The stream broke: ${why}`)
    }
    if (signal.aborted) break
    failures = progress.isUnderWay ? 0 : failures + 1
    const rest = Math.min(restMs.first * 2 ** failures, restMs.most)
    await pause(rest * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
  }
  const { forwarded, refused } = progress
  const taken = forwarded - refused
  const text = `${forwarded} forwarded: ${taken} taken, ${refused} not.`
  view.note('ended', text, { forwarded, taken, refused, position: progress.position })
  return refused === 0 ? 0 : 3
}

async function requireTypes(api: Api, selectors: readonly string[]): Promise<void> {
  if (selectors.length === 0) return
  const known = await typesOf(api)
  const stray = selectors.find((selector) => !known.some((type) => isMeant([selector], type)))
  if (stray !== undefined) throw new Misuse(`--types: ${unknownType(stray, known)}`)
}

/** Takes block after block, one at a time; ends with the stream, and when that says nothing more. */
async function follow(
  stream: ReadableStream<Uint8Array>,
  quiet: AbortController,
  progress: Progress,
  forward: (block: Block) => Promise<void>,
): Promise<void> {
  const giveUp = () => quiet.abort(new Error('nothing came any more'))
  let timer = setTimeout(giveUp, silenceMs)
  try {
    for await (const block of blocksIn(stream)) {
      clearTimeout(timer)
      if (block.name === 'end') return
      progress.isUnderWay = true
      await forward(block)
      // Only now: what was not forwarded is told once more.
      progress.position = block.position ?? progress.position
      timer = setTimeout(giveUp, silenceMs)
    }
  } finally {
    clearTimeout(timer)
  }
}

async function forwardTo(
  url: string,
  secret: string,
  types: readonly string[],
  { data, position }: Block,
  progress: Progress,
  view: View,
): Promise<void> {
  if (data === undefined) return
  const { id, type } = JSON.parse(data) as { id: string; type: string }
  if (!isMeant(types, type)) return
  const sent = await post(url, secret, { id, body: data })
  progress.forwarded += 1
  if (!isTaken(sent)) progress.refused += 1
  view.told({ type, id, ...sent, ...(position === undefined ? {} : { position }) })
}
