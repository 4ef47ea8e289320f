import { world } from './fixture.ts'
const kinds = ['hang','slow-headers','slow-drip','endless-body','endless-chunk-extension','endless-early-hints','huge-headers','reset','reset-mid-answer','close-without-answer','close-mid-answer','close-mid-chunk','garbage','continue','upgrade','two-answers','two-lengths','close-after-answer','odd-headers'] as const
process.on('unhandledRejection', (e) => { console.log('UNHANDLED', e); process.exit(1) })
process.on('uncaughtException', (e) => { console.log('UNCAUGHT', e); process.exit(1) })
const here = await world({ connections: 6, idleMs: 30 })
here.receiver.answersWith(() => Math.random() < 0.5 ? { status: 200, body: 'x'.repeat(Math.floor(Math.random()*1500)) } : kinds[Math.floor(Math.random()*kinds.length)] ?? 'hang')
const until = performance.now() + 20_000
const tally = new Map<string, number>(); let worst = 0, sent = 0
await Promise.all(Array.from({ length: 60 }, async (_, n) => {
  while (performance.now() < until) {
    const signal = Math.random() < 0.05 ? AbortSignal.timeout(Math.floor(Math.random() * 100)) : undefined
    const o = await here.post({ deadlineMs: 300, connectMs: 200, lane: `l${n % 7}`, isRepeatable: Math.random() < 0.5, ...(signal ? { signal } : {}) })
    sent++; worst = Math.max(worst, o.durationMs)
    const k = o.kind === 'answered' ? `answered ${o.status} ${o.isTruncated}` : `${o.reason} ${o.detail}`; tally.set(k, (tally.get(k) ?? 0) + 1)
    if (Math.random() < 0.01) here.receiver.hangsUp()
    if (Math.random() < 0.1) await new Promise((r) => setTimeout(r, Math.random() * 50))
  }
}))
console.log(sent, 'worst', worst, tally)
await new Promise((r) => setTimeout(r, 500))
console.log('open', here.receiver.connections.open, here.receiver.connections.made, process.getActiveResourcesInfo(), Math.round(process.memoryUsage().heapUsed/1e6))
await here.egress.close(); await here.receiver.stop()
