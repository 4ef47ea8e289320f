/** A place in the contract that the house cannot keep, and why. */
export interface Breach {
  /** JSON pointer into the bundle, or `file#pointer` before there is one. */
  at: string
  message: string
}

export class ContractError extends Error {
  readonly breaches: readonly Breach[]

  constructor(breaches: readonly Breach[]) {
    super(breaches.map((breach) => `${breach.at}\n    ${breach.message}`).join('\n'))
    this.name = 'ContractError'
    this.breaches = breaches
  }
}

export function refuse(at: string, message: string): never {
  throw new ContractError([{ at, message }])
}
