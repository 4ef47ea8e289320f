import { verify as isVerified, X509Certificate } from 'node:crypto'
import { type FetchKeys, refused, type Scheme } from '../scheme.ts'
import { isBase64 } from './mac.ts'
import { isTimely } from './moment.ts'
import { isObject, type Members, nameOf, readStrangersJson } from './payload.ts'
import { flawOfMissing, textsSetting } from './settings.ts'

/**
 * Amazon SNS: RSA over some fields of the body, by a certificate whose address comes with the message.
 * Every customer of Amazon can have SNS sign, so that the topic has to be one of ours: `topicArns`
 * names them. A new subscription is confirmed by fetching the address that the message gives.
 */
export const sns: Scheme = {
  async verify({ body }, { now, settings, fetchKeys }) {
    const message = readMessage(readStrangersJson(body))
    if (message === undefined) return refused('malformed')
    const { type, fields, certificateUrl, hash } = message
    if (!textsSetting(settings, 'topicArns').includes(fields.TopicArn ?? '')) return refused('key')
    if (!isOfCertificate(certificateUrl)) return refused('key')
    const certificate = await fetchCertificate(certificateUrl, fetchKeys)
    if (certificate === undefined) return { kind: 'unavailable' }
    if (!isInForce(certificate, now)) return refused('key')
    const { publicKey } = certificate
    if (!isVerified(hash, signedContent(fields), publicKey, message.signature)) {
      return refused('signature')
    }
    const signedAt = new Date(fields.Timestamp ?? '')
    if (!isTimely(signedAt, now, dayInSeconds)) return refused('timestamp')

    if (type === 'SubscriptionConfirmation') {
      const confirmUrl = fields.SubscribeURL ?? ''
      if (!isOfSns(confirmUrl, /^\/$/)) return refused('malformed')
      return { kind: 'handshake', answer: { status: 200 }, confirmUrl }
    }
    const providerEventId = nameOf(fields.MessageId)
    return { kind: 'accepted', providerEventId, signedAt, eventType: type, isDrift: false }
  },
  settings: ['topicArns'],
  flaws: ({ settings }) => flawOfMissing(settings, 'topicArns'),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 403 } },
}

/** SNS tries for an hour at most; ids of messages are known for longer than this. */
const dayInSeconds = 24 * 60 * 60

const confirmed = ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type']

/** The fields that are signed, in the order of the signature. */
const fieldsOf: Readonly<Record<string, readonly string[] | undefined>> = Object.assign(
  Object.create(null),
  {
    Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
    SubscriptionConfirmation: confirmed,
    UnsubscribeConfirmation: confirmed,
  },
)

const hashes = new Map<unknown, string>([
  ['1', 'sha1'],
  ['2', 'sha256'],
])

interface Message {
  type: string
  /** Of those that are signed the ones that are there. */
  fields: Readonly<Record<string, string>>
  certificateUrl: string
  hash: string
  signature: Buffer
}

function readMessage(payload: unknown): Message | undefined {
  if (!isObject(payload)) return undefined
  const { Type: type, SigningCertURL: certificateUrl, Signature: signature } = payload
  const hash = hashes.get(payload.SignatureVersion)
  const fields = typeof type === 'string' ? readFields(payload, fieldsOf[type] ?? []) : undefined
  if (typeof type !== 'string' || fields?.Type === undefined || hash === undefined) return undefined
  if (typeof certificateUrl !== 'string' || typeof signature !== 'string') return undefined
  if (!isBase64(signature)) return undefined
  return { type, fields, certificateUrl, hash, signature: Buffer.from(signature, 'base64') }
}

/**
 * Fields are signed as lines of names and values. Only the text of a message may be of several lines:
 * were others, one signature would fit two messages.
 */
function readFields(payload: Members, names: readonly string[]) {
  const fields: Record<string, string> = {}
  for (const name of names) {
    const value = payload[name]
    const isOptional = name === 'Subject'
    if (isOptional && (value === undefined || value === null)) continue
    if (typeof value !== 'string') return undefined
    if (name !== 'Message' && value.includes('\n')) return undefined
    fields[name] = value
  }
  return fields
}

function signedContent(fields: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(fields).map(([name, value]) => `${name}\n${value}\n`)
  return Buffer.from(lines.join(''))
}

/**
 * `sns.<region>.amazonaws.com`, where a region is written as regions are: a bucket of the name `sns`
 * answers at `sns.s3-us-west-2.amazonaws.com`, and anybody might have it.
 */
function isOfSns(text: string, path: RegExp): boolean {
  const url = URL.parse(text)
  const isOpen = url?.username === '' && url.password === ''
  const isHost = /^sns\.[a-z]{2}(-[a-z]+)+-\d+\.amazonaws\.com(\.cn)?$/.test(url?.host ?? '')
  return isOpen && isHost && url.protocol === 'https:' && path.test(url.pathname)
}

/** Written in one way alone: of one certificate under many names each would be fetched and kept. */
function isOfCertificate(text: string): boolean {
  const isPlain = URL.parse(text)?.href === text && !/[?#]/.test(text)
  return isPlain && isOfSns(text, /^\/SimpleNotificationService-[\da-zA-Z]+\.pem$/)
}

async function fetchCertificate(url: string, fetchKeys: FetchKeys) {
  try {
    return await fetchKeys(url, readCertificate)
  } catch {
    return undefined
  }
}

function readCertificate(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text)
  } catch {
    return undefined
  }
}

function isInForce(certificate: X509Certificate, now: Date): boolean {
  return new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo)
}
