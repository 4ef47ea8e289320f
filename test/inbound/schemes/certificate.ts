import { createPublicKey, type KeyObject, sign } from 'node:crypto'

export interface Certificate {
  privateKey: KeyObject
  from: Date
  to: Date
}

/** A certificate of RSA that its key signed itself, in PEM: DER written by hand (RFC 5280). */
export function certify({ privateKey, from, to }: Certificate): string {
  const name = sequence(der(0x31, sequence(Buffer.from('0603550403', 'hex'), text('sns.example'))))
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const validity = sequence(time(from), time(to))
  const content = sequence(integer(1), sha256WithRsa, name, validity, name, spki)
  const signature = sign('sha256', content, privateKey)
  const whole = sequence(content, sha256WithRsa, der(0x03, Buffer.of(0), signature))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

const sha256WithRsa = Buffer.from('300d06092a864886f70d01010b0500', 'hex')

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts)
}

function integer(value: number): Buffer {
  return der(0x02, Buffer.of(value))
}

function text(value: string): Buffer {
  return der(0x0c, Buffer.from(value))
}

function time(at: Date): Buffer {
  return der(0x18, Buffer.from(`${at.toISOString().replace(/\D/g, '').slice(0, 14)}Z`))
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? Buffer.of(length) : Buffer.of(0x82, length >> 8, length & 0xff)
  return Buffer.concat([Buffer.of(tag), size, content])
}
