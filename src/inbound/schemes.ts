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
  STANDARD_WEBHOOKS: posted(standardWebhooks),
  STRIPE: posted(stripe),
  GITHUB: posted(github),
  SHOPIFY: posted(shopify),
  SLACK: posted(slack),
  XERO: posted(xero),
  QUICKBOOKS: posted(quickbooks),
  SENDGRID: posted(sendgrid),
  SNS: posted(sns),
  MICROSOFT_GRAPH: posted(microsoftGraph),
  PUBSUB: posted(pubsub),
  HMAC: posted(hmac),
  SHARED_SECRET: posted(sharedSecret),
  BASIC: posted(basic),
  JWT: posted(jwt),
}

/** Nobody sends an event by GET; none of these shakes hands by it either. */
function posted(scheme: Scheme): Scheme {
  return {
    ...scheme,
    verify: async (request, context) =>
      request.method === 'POST' ? scheme.verify(request, context) : refused('malformed'),
  }
}
