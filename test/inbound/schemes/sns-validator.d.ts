/** What the tests use of Amazon's validator, which comes without types. */
declare module 'sns-validator' {
  class MessageValidator {
    constructor(hostPattern?: RegExp)
    validate(message: object, done: (error: Error | null) => void): void
  }
  export = MessageValidator
}
