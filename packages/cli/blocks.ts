/** A block of Server-Sent Events. */
export interface Block {
  /** The position that the reader has come to. */
  readonly position: number | undefined
  readonly name: string
  /** Undefined where it only moves the reader on. */
  readonly data: string | undefined
}

/** The blocks of a stream, as they come; ends with it. */
export async function* blocksIn(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Block> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of bytes) {
    text += decoder.decode(piece, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) yield readBlock(block)
  }
}

function readBlock(text: string): Block {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''))
  }
  const id = fields.get('id')
  return {
    position: id === undefined ? undefined : Number(id),
    name: fields.get('event') ?? 'message',
    data: fields.get('data'),
  }
}
