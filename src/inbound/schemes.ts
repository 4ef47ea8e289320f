import { type InboundScheme, refused, type Scheme } from './scheme.ts'
import { basic } from './schemes/basic.ts'
import { github } from './schemes/github.ts'
import { hmac } from './schemes/hmac.ts'
import { jwt } from './schemes/jwt.ts'
import { microsoftGraph } from './schemes/microsoft-graph.ts'
import { pubsub } from './schemes/pubsub.ts'
import { quickbooks } from './schemes/quickbooks.ts'
import { sendgrid } from './schemes/sendgrid.ts'
import { sharedSecret } from './schemes/shared-secret.ts'
import { shopify } from './schemes/shopify.ts'
import { slack } from './schemes/slack.ts'
import { sns } from './schemes/sns.ts'
import { standardWebhooks } from './schemes/standard-webhooks.ts'
import { stripe } from './schemes/stripe.ts'
import { xero } from './schemes/xero.ts'

/** Every scheme by its name in the contract. */
export const schemes: Readonly<Record<InboundScheme, Scheme>> = {
  STANDARD_WEBHOOKS: guarded(standardWebhooks),
  STRIPE: guarded(stripe),
  GITHUB: guarded(github),
  SHOPIFY: guarded(shopify),
  SLACK: guarded(slack),
  XERO: guarded(xero),
  QUICKBOOKS: guarded(quickbooks),
  SENDGRID: guarded(sendgrid),
  SNS: guarded(sns),
  MICROSOFT_GRAPH: guarded(microsoftGraph),
  PUBSUB: guarded(pubsub),
  HMAC: guarded(hmac),
  SHARED_SECRET: guarded(sharedSecret),
  BASIC: guarded(basic),
  JWT: guarded(jwt),
}

/**
 * What holds for all: nobody sends an event by GET, and none of these shakes hands by it either; and a
 * setting that a scheme does not know would be one that its owner relies on in vain.
 */
function guarded(scheme: Scheme): Scheme {
  return {
    ...scheme,
    verify: async (request, context) =>
      request.method === 'POST' ? scheme.verify(request, context) : refused('malformed'),
    flaws: (configuration) => [
      ...Object.keys(configuration.settings)
        .filter((name) => !scheme.settings.includes(name))
        .map((name) => ({ pointer: `/settings/${name}`, message: 'is not known to this scheme' })),
      ...scheme.flaws(configuration),
    ],
  }
}
