import type { Context } from '#context.ts'
import { exchangeSpending } from './limit.sql.ts'
import { type Bucket, judge, msOf, plausible, restOf, windowMsOf } from './limit.ts'
import type { Principal } from './operation.ts'

/**
 * Counts calls against quotas that all processes share. Each process judges by what it knows, and
 * tells the others what it let through ten times a second. What it may let through of one bucket
 * without having told is a tenth of the quota, and then the call waits for an answer: so several
 * processes together let through at most a tenth of a quota more for each of them.
 * While the database is away each process counts for itself.
 */
export interface Limiter {
  /** Spends `cost` in every bucket, or in none and says which of them refused. */
  take(caller: Caller, buckets: readonly Bucket[], cost: number, askedMs: number): Promise<Taken>
  /** Tells the others the last of it. */
  stop(): Promise<void>
}

/** Whose account it is: a key's, or of whatever else a tenant has by that id. */
export type Caller = Pick<Principal, 'tenantId'> & { key: { readonly id: string } }

export interface Taken {
  /** The names of the policies that refused; none when the call may go on. */
  violated: readonly string[]
  /** After how long it may be tried again; 0 when it may go on. */
  retryAfterMs: number
  /** What is left in each bucket, in the order given. */
  rests: readonly { name: string; rest: number; resetMs: number }[]
}

interface Account {
  tenantId: Principal['tenantId']
  bucket: string
  windowMs: number
  arrivalMs: number
  /** Of what is spent, what the others have not been told. */
  untoldMs: number
}

const tellEveryMs = 100
/** The part of a quota that may be spent without telling. */
const untoldShare = 0.1
/** After a failure to tell, no call waits for the database for so long. */
const aloneForMs = 1_000
/** Nor does one wait for longer than this for an answer. */
const answerMsMax = 1_000
/** Accounts remembered at once; the one that was quiet for longest is forgotten first. */
const accountsMax = 100_000
const toldAtOnce = 1_000

/** Whether so much was spent without telling that no more may be. */
const isUntold = ({ account: { untoldMs, windowMs } }: { account: Account }): boolean =>
  untoldMs > windowMs * untoldShare

export function createLimiter({ db, clock, log }: Context): Limiter {
  const accounts = new Map<string, Account>()
  const untold = new Set<Account>()
  let telling: Promise<void> | undefined
  let aloneUntilMs = 0

  function accountOf(caller: Caller, { holder, policy }: Bucket, nowMs: number): Account {
    const bucket = holder === 'key' ? `${caller.key.id} ${policy.name}` : policy.name
    const name = `${caller.tenantId} ${bucket}`
    const windowMs = windowMsOf(policy)
    const known = accounts.get(name)
    const account = known ?? {
      tenantId: caller.tenantId,
      bucket,
      windowMs,
      arrivalMs: 0,
      untoldMs: 0,
    }
    account.windowMs = windowMs
    account.arrivalMs = plausible(account.arrivalMs, nowMs, policy)
    // Set anew, so that the map stays in order of last use and its head is the quietest.
    accounts.delete(name)
    accounts.set(name, account)
    if (accounts.size > accountsMax) forgetQuietest()
    return account
  }

  /** With what it did not tell: told beside its successor, it would stand twice in one statement. */
  function forgetQuietest(): void {
    for (const [name, account] of accounts) {
      accounts.delete(name)
      untold.delete(account)
      return
    }
  }

  async function tell(): Promise<void> {
    const some = [...untold].slice(0, toldAtOnce)
    const spendings = some.map((account) => ({ ...account, spentMs: account.untoldMs }))
    const nowMs = clock.now().getTime()
    try {
      const arrivals = await exchangeSpending(db.worker, nowMs, spendings)
      for (const [at, account] of some.entries()) {
        account.untoldMs -= spendings[at]?.spentMs ?? 0
        if (account.untoldMs <= 0) untold.delete(account)
        account.arrivalMs = (arrivals[at] ?? 0) + account.untoldMs
      }
    } catch (error) {
      log.warn({ err: error }, 'quotas could not be shared')
      aloneUntilMs = performance.now() + aloneForMs
    }
  }

  /** Waits until it is told; while no answer comes this process counts for itself. */
  async function tellOnce(): Promise<void> {
    telling ??= tell().finally(() => {
      telling = undefined
    })
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      aloneUntilMs = Math.max(aloneUntilMs, performance.now() + aloneForMs)
      resolve()
    }, answerMsMax)
    await Promise.race([telling, late])
    clearTimeout(timer)
  }

  const timer = setInterval(() => {
    if (untold.size > 0 && performance.now() >= aloneUntilMs) void tellOnce()
  }, tellEveryMs)

  return {
    async take(caller, buckets, cost, askedMs) {
      const known = buckets.map((bucket) => ({
        policy: bucket.policy,
        account: accountOf(caller, bucket, askedMs),
      }))
      // Again and again: of all that waited for one telling, each may have spent the share anew.
      while (known.some(isUntold) && performance.now() >= aloneUntilMs) await tellOnce()
      // What was told meanwhile was told as of then: judged by an earlier moment it would weigh more.
      const nowMs = Math.max(askedMs, clock.now().getTime())

      const verdicts = known.map(({ policy, account }) =>
        judge(account.arrivalMs, nowMs, policy, cost),
      )
      const violated = known.filter((_, at) => verdicts[at]?.isAllowed === false)
      for (const [at, { policy, account }] of known.entries()) {
        const verdict = verdicts[at]
        if (violated.length > 0 || !verdict?.isAllowed) continue
        account.arrivalMs = verdict.nextMs
        account.untoldMs += msOf(cost, policy)
        untold.add(account)
      }
      const waits = verdicts.map((verdict) => (verdict.isAllowed ? 0 : verdict.retryAfterMs))
      return {
        violated: violated.map(({ policy }) => policy.name),
        retryAfterMs: Math.max(...waits, 0),
        rests: known.map(({ policy, account }) => ({
          name: policy.name,
          rest: restOf(account.arrivalMs, nowMs, policy),
          resetMs: Math.max(account.arrivalMs - nowMs, 0),
        })),
      }
    },
    async stop() {
      clearInterval(timer)
      while (untold.size > 0 && performance.now() >= aloneUntilMs) await tellOnce()
    },
  }
}
