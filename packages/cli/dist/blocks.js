export async function* blocksIn(bytes) {
    const decoder = new TextDecoder();
    let text = '';
    for await (const piece of bytes) {
        text += decoder.decode(piece, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks)
            yield readBlock(block);
    }
}
function readBlock(text) {
    const fields = new Map();
    for (const line of text.split('\n')) {
        const colon = line.indexOf(':');
        if (colon > 0)
            fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''));
    }
    const id = fields.get('id');
    return {
        position: id === undefined ? undefined : Number(id),
        name: fields.get('event') ?? 'message',
        data: fields.get('data'),
    };
}
