import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { CosignetError, encodeBase64Url, reasonOf } from '../core/index.ts'
import { type OpenPgpPacket, PACKET_TAGS } from './openpgp-packets.ts'
import type { OpenPgpKeyMaterial } from './openpgp-public-key.ts'
import { invalidKey } from './pem.ts'

/**
 * Opens the packet of a secret key or subkey with OpenPGP.js, which is loaded here and no earlier.
 * @param part the public half, read from the same packet, of an algorithm with which signatures are verified here.
 * @param password may be empty; for a key that is not encrypted it is not used.
 * @returns undefined if the packet has no secret in it: that of a primary key which is kept elsewhere, or on a card.
 * @throws INVALID_PASSWORD; INVALID_KEY if the secret is damaged or not that of `part`.
 */
export async function openSecretPacket(
  packet: OpenPgpPacket,
  part: OpenPgpKeyMaterial,
  password: Uint8Array,
  what: string,
): Promise<KeyObject | undefined> {
  const { SecretKeyPacket, SecretSubkeyPacket } = await import('openpgp')
  const secret = packet.tag === PACKET_TAGS.secretKey ? new SecretKeyPacket() : new SecretSubkeyPacket()
  try {
    await secret.read(packet.body)
  } catch (error) {
    throw invalidKey(what, `its secret part cannot be read (${reasonOf(error)})`, { cause: error })
  }
  if (secret.isDummy()) return undefined
  if (!secret.isDecrypted()) await decrypt(secret, password, what)
  try {
    const jwk = toJwk(part, (secret.privateParams ?? {}) as PrivateNumbers)
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch (error) {
    throw invalidKey(what, 'its secret part is not that of the key', { cause: error })
  }
}

async function decrypt(
  secret: { decrypt(passphrase: string): Promise<void> },
  password: Uint8Array,
  what: string,
): Promise<void> {
  try {
    await secret.decrypt(Buffer.from(password).toString('utf8'))
  } catch (error) {
    const reason = reasonOf(error)
    // The words of OpenPGP.js for a checksum that does not fit; it has no codes.
    if (!/incorrect key passphrase/i.test(reason))
      throw invalidKey(what, `it cannot be opened (${reason})`, { cause: error })
    throw new CosignetError('INVALID_PASSWORD', `${what} cannot be opened: the password is wrong.`, {
      cause: error,
    })
  }
}

/** Private numbers by the names that OpenPGP.js gives them; RSA has d, p, q and u, ECDSA d, EdDSA a seed. */
type PrivateNumbers = Readonly<Record<'d' | 'p' | 'q' | 'u' | 'seed', Uint8Array>>

function toJwk({ algorithm, keyObject }: OpenPgpKeyMaterial, numbers: PrivateNumbers): JsonWebKey {
  const publicJwk = keyObject?.export({ format: 'jwk' }) ?? {}
  if (algorithm === 'ed25519') return { ...publicJwk, d: encodeBase64Url(numbers.seed) }
  if (algorithm !== 'rsa') {
    const bytes = Buffer.from(publicJwk.x ?? '', 'base64url').byteLength
    return { ...publicJwk, d: encodeBase64Url(leftPadded(numbers.d, bytes)) }
  }
  // OpenPGP has the inverse of p modulo q, a JWK that of q modulo p: so the primes change places.
  const { d, p: second, q: first, u: inverse } = numbers
  return {
    ...publicJwk,
    d: encodeBase64Url(d),
    p: encodeBase64Url(first),
    q: encodeBase64Url(second),
    dp: encodeBase64Url(remainder(d, first)),
    dq: encodeBase64Url(remainder(d, second)),
    qi: encodeBase64Url(inverse),
  }
}

/** `d` modulo `prime` less one. */
function remainder(d: Uint8Array, prime: Uint8Array): Uint8Array {
  const hex = (toBigInt(d) % (toBigInt(prime) - 1n)).toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
}

function toBigInt(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

function leftPadded(bytes: Uint8Array, size: number): Uint8Array {
  return Buffer.concat([Buffer.alloc(Math.max(0, size - bytes.byteLength)), bytes])
}
