import { problems } from '#generated/problems.ts'
import type { ProblemCode } from '#generated/types.ts'
import type { FieldError } from './field-errors.ts'
import type { Principal } from './operation.ts'

/**
 * A refusal with a code of the contract (RFC 9457). It has two faces: `detail` and `errors` are for
 * the caller, `cause` is for the log.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly status: number
  readonly detail: string
  readonly errors: readonly FieldError[]
  readonly headers: Readonly<Record<string, string>>
  readonly violatedPolicies: readonly string[]
  readonly principal: Principal | undefined

  constructor(code: ProblemCode, face: ProblemFace) {
    super(code, face.cause === undefined ? {} : { cause: face.cause })
    this.code = code
    this.status = problems[code].status
    this.detail = face.detail ?? problems[code].description
    this.errors = face.errors ?? []
    this.headers = face.headers ?? {}
    this.violatedPolicies = face.violatedPolicies ?? []
    this.principal = face.principal
  }
}

export interface ProblemFace {
  /** One or two sentences for the caller; the code's description when left out. */
  detail?: string
  /** Which fields, and what is wrong with each. */
  errors?: readonly FieldError[]
  headers?: Record<string, string>
  /** The limits that stood against it, by name. */
  violatedPolicies?: readonly string[]
  /** For the log only. */
  cause?: unknown
  /** Whose key it was that is refused; for the audit only. */
  principal?: Principal
}

/** `throw problem('not_found')`. Codes come from the contract. */
export function problem(code: ProblemCode, face: ProblemFace = {}): Problem {
  return new Problem(code, face)
}

/** Someone else's thing, or nobody's, does not exist. */
export function found<Row>(row: Row | undefined): Row {
  if (row === undefined) throw problem('not_found')
  return row
}

/** The body of a problem, as `application/problem+json`. */
export function problemBody(refusal: Problem, requestId: string): string {
  const { code, status, detail, errors, violatedPolicies } = refusal
  return JSON.stringify({
    type: problems[code].type,
    title: problems[code].title,
    status,
    detail,
    code,
    requestId,
    ...(errors.length > 0 ? { errors } : {}),
    ...(violatedPolicies.length > 0 ? { 'violated-policies': violatedPolicies } : {}),
  })
}
