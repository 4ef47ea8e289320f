import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A process of the bench: it is asked something, and answers. */
export interface Asked {
  ask<Answer>(question: unknown): Promise<Answer>
  stop(): void
}

/** Forks a module of the bench that listens by `answering`; it has said that it is ready. */
export async function startChild(
  module: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Asked> {
  const child = fork(new URL(module, import.meta.url), [], { env: { ...process.env, ...env } })
  await once(child, 'message')
  const gone = once(child, 'exit').then(() => Promise.reject(new Error('a child ended')))
  gone.catch(() => undefined)
  return {
    async ask<Answer>(question: unknown) {
      const { promise, resolve } = Promise.withResolvers<unknown>()
      child.once('message', resolve)
      child.send(question as object)
      return (await Promise.race([promise, gone])) as Answer
    },
    stop: () => void child.kill('SIGKILL'),
  }
}

/** In the child: says that it is ready, and answers one question after the other. */
export function answering<Question>(answer: (question: Question) => Promise<unknown>): void {
  process.on('message', async (question) => {
    process.send?.((await answer(question as Question)) ?? null)
  })
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}

/** Milliseconds by a clock that all processes of the machine share. */
export function sharedMs(): number {
  return performance.timeOrigin + performance.now()
}
