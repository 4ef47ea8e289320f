import { type InboundScheme, refused, type Scheme } from './scheme.ts'
import { hmac } from './schemes/hmac.ts'
import { standardWebhooks } from './schemes/standard-webhooks.ts'
import { stripe } from './schemes/stripe.ts'

/** Every scheme by its name in the contract. */
export const schemes: Readonly<Record<InboundScheme, Scheme>> = {
  STANDARD_WEBHOOKS: posted(standardWebhooks),
  STRIPE: posted(stripe),
  HMAC: posted(hmac),
}

/** Nobody sends an event by GET; none of these shakes hands by it either. */
function posted(scheme: Scheme): Scheme {
  return {
    ...scheme,
    verify: async (request, context) =>
      request.method === 'POST' ? scheme.verify(request, context) : refused('malformed'),
  }
}
