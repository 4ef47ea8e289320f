/** The login that processes use; it may act as the two roles and owns nothing. */
export interface Login {
  name: string
  password: string
}

/** The owner's address with another login. */
export function urlOf(ownerUrl: string, { name, password }: Login): string {
  return Object.assign(new URL(ownerUrl), { username: name, password }).href
}
