/** Who we say that we are, to endpoints and to those who ask. */
export const userAgent = 'UBOS-Webhooks/1'
