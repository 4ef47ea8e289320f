import { type Channel, channel } from 'node:diagnostics_channel'

/**
 * A *fault point* is a step at which it matters what is lost when the process ends there. The program
 * only says that it passes; tests listen from a preload (`test/chaos/fault.ts`), and end or stop the
 * process at the nth passage. Nobody listening costs one look at a flag.
 */
export const faultPoints = {
  /** A write has been let in, and its transaction is about to begin. */
  beforeTransaction: channel('ubos.before-transaction'),
  /** Postgres has answered the opening: the fence is up, and the key of the call is held. */
  afterClaim: channel('ubos.after-claim'),
  /** The handler has decided; of what it queued, nothing has left the process. */
  beforeCommit: channel('ubos.before-commit'),
  /** Everything up to `commit` has been handed to the kernel; whether Postgres did it is not known. */
  commitSent: channel('ubos.commit-sent'),
  /** Postgres has committed; the caller has not been told. The answer then leaves in one write. */
  afterCommit: channel('ubos.after-commit'),
  /** Events have their positions and deliveries, uncommitted. */
  sequencerBeforeCommit: channel('ubos.sequencer-before-commit'),
  sequencerAfterCommit: channel('ubos.sequencer-after-commit'),
  /** Entries of the audit have their links, uncommitted. */
  chainerBeforeCommit: channel('ubos.chainer-before-commit'),
  chainerAfterCommit: channel('ubos.chainer-after-commit'),
  /** Deliveries are under our lease, and nothing of them has been sent. */
  deliveryClaimed: channel('ubos.delivery-claimed'),
  // When a request's bytes are out, undici says so itself: `undici:request:bodySent`.
  /** Receivers have answered, and it has not been written down. */
  deliveryBeforeRecord: channel('ubos.delivery-before-record'),
  deliveryAfterRecord: channel('ubos.delivery-after-record'),
  /** A job is ours under its lease and marked as running, and its task has not begun. */
  jobStarted: channel('ubos.job-started'),
  /** A job's task has done its work, and the job has not been marked as done. */
  jobEffected: channel('ubos.job-effected'),
} as const satisfies Record<string, Channel>

/** Says that the process passes a point. */
export function reach(point: Channel): void {
  if (point.hasSubscribers) point.publish(undefined)
}
