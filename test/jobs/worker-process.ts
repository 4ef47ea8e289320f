import { startWorker } from '#app.ts'
import { createClock } from '#clock.ts'
import { readConfig } from '#config.ts'
import { contextOf } from '../world.ts'
import { errands } from './fixture.ts'

/*
 * A worker in a process of its own, to be killed. It says which errand it begins, and of those called
 * "stuck …" it never comes back.
 */
const [databaseUrl = ''] = process.argv.slice(2)
const ctx = contextOf(readConfig({ UBOS_LOG_LEVEL: 'silent' }), createClock(), databaseUrl)
const errand = errands(async ({ payload: { name } }) => {
  console.log(name)
  if (name.startsWith('stuck')) await new Promise(() => undefined)
  return undefined
})
startWorker(ctx, [errand])
