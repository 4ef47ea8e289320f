import type { Operation } from '#http/operation.ts'

export const getMe: Operation<'getMe'> = async (_ctx, call) => {
  const { id, name, prefix, scopes, allowedIps, expiresAt } = call.key
  const account = call.serviceAccount
  return {
    status: 200,
    body: {
      key: {
        id,
        name,
        prefix,
        scopes: [...scopes],
        allowedIps: [...allowedIps],
        expiresAt: expiresAt?.toISOString() ?? null,
      },
      serviceAccount: account && { id: account.id, name: account.name },
      organization: { id: call.organizationId },
      tenant: { id: call.tenantId, environment: call.environment },
    },
  }
}
