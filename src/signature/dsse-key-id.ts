import { createHash } from 'node:crypto'
import type { PublicKey } from '../keys/index.ts'

/**
 * The fingerprint of a key as `ssh-keygen -l` prints it, `SHA256:` and base64 without padding, by which
 * go-securesystemslib names a key that has no other name (OpenSSH, PROTOCOL; RFC 4253, section 6.6; RFC 5656; RFC 8709).
 */
export function sshFingerprint(key: PublicKey): string {
  const blob = Buffer.concat(sshFields(key).map(lengthPrefixed))
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}

/** What OpenSSH calls the curves. */
const CURVES: Readonly<Record<string, string>> = {
  'P-256': 'nistp256',
  'P-384': 'nistp384',
  'P-521': 'nistp521',
}

function sshFields({ keyObject }: PublicKey): readonly Buffer[] {
  const { crv = '', x = '', y = '', n = '', e = '' } = keyObject.export({ format: 'jwk' })
  if (crv === 'Ed25519') return [Buffer.from('ssh-ed25519'), decode(x)]
  const curve = CURVES[crv]
  if (curve === undefined) return [Buffer.from('ssh-rsa'), positive(decode(e)), positive(decode(n))]
  const point = Buffer.concat([Buffer.from([4]), decode(x), decode(y)])
  return [Buffer.from(`ecdsa-sha2-${curve}`), Buffer.from(curve), point]
}

function decode(base64url: string): Buffer {
  return Buffer.from(base64url, 'base64url')
}

/** A number whose first bit is set would be read as negative (RFC 4251, section 5, "mpint"). */
function positive(number: Buffer): Buffer {
  return (number[0] ?? 0) < 0x80 ? number : Buffer.concat([Buffer.from([0]), number])
}

function lengthPrefixed(field: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(field.byteLength)
  return Buffer.concat([length, field])
}
