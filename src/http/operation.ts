import type { Context } from '#context.ts'
import type { Db } from '#db/database.ts'
import type { Tx } from '#db/transact.ts'
import type { OperationId, Operations } from '#generated/operations.ts'
import type { Scope } from '#generated/routes.ts'
import type { AuditActorType } from '#generated/types.ts'
import type { Id, TenantId } from '#ids.ts'
import type { LimitOverrides, Policy } from './limit.ts'

/** Whom a verified key speaks for, and what it may do. */
export interface Principal {
  readonly tenantId: TenantId
  readonly organizationId: Id<'org'>
  readonly environment: 'PRODUCTION' | 'SANDBOX'
  readonly key: {
    readonly id: Id<'key'>
    readonly name: string
    readonly prefix: string
    /** What it may do, within what its service account may. */
    readonly scopes: readonly Scope[]
    /** From where it may be used; none is from anywhere. */
    readonly allowedIps: readonly string[]
    readonly expiresAt: Date | null
  }
  /** What its tenant may ask other than the usual. */
  readonly limits: LimitOverrides | null
  /** The account that the key belongs to, when it belongs to one. */
  readonly serviceAccount: { readonly id: Id<'sva'>; readonly name: string } | null
}

/** A bearer key as it arrives: from where, and to do what. */
export interface Attempt {
  readonly secret: string
  readonly operationId: OperationId
  readonly ip: string | null
  readonly now: Date
  /** It was let in before, and is looked at again: no call, so nothing is counted. */
  readonly isRepeated?: boolean
}

/** What a deed is put down to: who did it, when, and in the course of what. */
export interface Cause {
  readonly actor: Actor
  readonly now: Date
  readonly requestId: string
  /** What the caller calls the whole of it; travels into events, deliveries and logs. */
  readonly correlationId: string
  /** The W3C trace that it is part of, when the caller keeps one; travels likewise. */
  readonly traceparent: string | null
  readonly ip: string | null
}

export interface Actor {
  readonly type: Exclude<AuditActorType, 'ANONYMOUS'>
  /** The key, or the part of the system. */
  readonly id: string
}

/** The cause of what the system does by itself; `part` says which part of it. */
export function systemCause({ clock }: Pick<Context, 'clock'>, part: string): Cause {
  const requestId = clock.newId('req')
  return {
    actor: { type: 'SYSTEM', id: part },
    now: clock.now(),
    requestId,
    correlationId: requestId,
    traceparent: null,
    ip: null,
  }
}

/** One authenticated request: in which tenant, with which key, and the cause of what it does. */
export interface Call extends Principal, Cause {
  /** Whether the key would still be let in to this, for what goes on for longer than an answer. */
  readonly isStillLetIn: () => Promise<boolean>
}

/** A request that needs no key. */
export interface OpenCall extends Omit<Cause, 'actor'> {
  /** What the request bears all the same, such as the token of whoever reads the metrics. */
  readonly bearer: string | undefined
  /** Whether it comes from this machine itself, and not through a proxy on it. */
  readonly isLocal: boolean
  /** Whether the process is about to stop, so that nobody else should come. */
  readonly isLeaving: boolean
}

/** A request in a form that others prescribe, as it came. */
export interface RawRequest {
  readonly method: 'GET' | 'POST'
  /** What stands in the path; not yet looked at. */
  readonly path: Readonly<Record<string, string | undefined>>
  readonly query: URLSearchParams
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

/** What is sent back, exactly. */
export interface RawReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * Spends one unit of a quota that all processes share, in an account of the tenant's. Answers after how
 * long it may be tried again; 0 when it was spent.
 */
export type Spend = (tenantId: TenantId, account: string, policy: Policy) => Promise<number>

/** Handles what others send in a form of their own, in transactions of its own. */
export type RawOperation = (
  ctx: Context,
  call: OpenCall,
  request: RawRequest,
  spend: Spend,
) => Promise<RawReply>

/** What a handler works on: a write queues on the call's transaction, a read has fenced reads. */
type StoreOf<Id extends OperationId> = Operations[Id]['access'] extends 'open'
  ? undefined
  : Operations[Id]['kind'] extends 'write'
    ? Tx
    : Db

/** The handler of an operation. It returns one of the declared replies; refusals are thrown. */
export type Operation<Id extends OperationId> = (
  ctx: Context,
  call: Operations[Id]['access'] extends 'open' ? OpenCall : Call,
  request: Operations[Id]['request'],
  store: StoreOf<Id>,
) => Promise<Operations[Id]['reply']>

/** Every operation of the contract with its handler: the compiler finds a missing one. */
export type Handlers = {
  readonly [Id in OperationId]: Operations[Id]['access'] extends 'raw'
    ? RawOperation
    : Operation<Id>
}

/**
 * Finds the principal of a bearer key; throws `unauthorized` and its kin, and `ip_not_allowed`, with
 * the principal where the key is known all the same.
 */
export type Authenticate = (attempt: Attempt) => Promise<Principal>
