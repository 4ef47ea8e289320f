import { subscribe } from 'node:diagnostics_channel'

/*
 * A preload: `node --import ./test/chaos/fault.ts`. It listens at the fault point that the environment
 * names, and ends (SIGKILL) or stops (SIGSTOP) the process at its nth passage:
 * `UBOS_TEST_FAULT="ubos.before-commit 3 SIGKILL"`. Nothing else reads that variable.
 */
const [point, nth, signal] = (process.env.UBOS_TEST_FAULT ?? '').split(' ')
let passages = 0

if (point) {
  subscribe(point, () => {
    passages += 1
    if (passages === Number(nth)) process.kill(process.pid, signal)
  })
}
