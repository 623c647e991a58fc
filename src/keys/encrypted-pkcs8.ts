import {
  createCipheriv,
  createDecipheriv,
  pbkdf2,
  randomBytes,
  type ScryptOptions,
  scrypt,
} from 'node:crypto'
import { promisify } from 'node:util'
import { CosignetError, LIMITS } from '../core/index.ts'
import {
  contentOf,
  DER,
  type DerValue,
  encodeDer,
  encodeInteger,
  integerOf,
  parseDer,
  sequenceOf,
} from './der.ts'
import { formatPem, invalidKey } from './pem.ts'
import type { SigningKey } from './signing-key.ts'

/** How a password becomes the key that encrypts: what a file says of it, without the password. */
export type KeyDerivation =
  | {
      readonly name: 'pbkdf2'
      /** Of HMAC: `sha256`. */
      readonly hash: string
      readonly iterations: number
    }
  | { readonly name: 'scrypt'; readonly N: number; readonly r: number; readonly p: number }

/** An `EncryptedPrivateKeyInfo` (RFC 5958) under PBES2 (RFC 8018), taken apart. */
export interface EncryptedPkcs8 {
  readonly derivation: KeyDerivation
  readonly salt: Buffer
  /** As OpenSSL calls it: `aes-256-cbc`. */
  readonly cipher: string
  readonly keyBytes: number
  readonly iv: Buffer
  readonly ciphertext: Buffer
}

/** Object identifiers by the hex of their DER content. */
const PBES2 = '2a864886f70d01050d'
const PBKDF2 = '2a864886f70d01050c'
const SCRYPT = '2b06010401da47040b'
const HMAC_SHA256 = '2a864886f70d0209'
const AES_256_CBC = '60864801650304012a'
/** RFC 8018, B.1.2. */
const HASHES: Readonly<Record<string, string>> = {
  '2a864886f70d0207': 'sha1',
  '2a864886f70d0208': 'sha224',
  [HMAC_SHA256]: 'sha256',
  '2a864886f70d020a': 'sha384',
  '2a864886f70d020b': 'sha512',
}
/** Ciphers that OpenSSL writes, with the bytes of their keys and initial values. */
const CIPHERS: Readonly<Record<string, { name: string; keyBytes: number; ivBytes: number }>> = {
  [AES_256_CBC]: { name: 'aes-256-cbc', keyBytes: 32, ivBytes: 16 },
  '608648016503040116': { name: 'aes-192-cbc', keyBytes: 24, ivBytes: 16 },
  '608648016503040102': { name: 'aes-128-cbc', keyBytes: 16, ivBytes: 16 },
  '2a864886f70d0307': { name: 'des-ede3-cbc', keyBytes: 24, ivBytes: 8 },
}

/** What OWASP asks for with HMAC-SHA-256; OpenSSL's own 2048 is of the year 2000. */
const ITERATIONS = 600_000

/**
 * Takes an encrypted PKCS#8 key apart, without its password: PBES2 with PBKDF2 or scrypt, and AES or triple DES in CBC
 * mode, as OpenSSL writes it. What would cost more time or memory than the limits allow is refused here.
 * @param what names the file in messages.
 * @throws INVALID_KEY
 */
export function readEncryptedPkcs8(der: Buffer, what: string): EncryptedPkcs8 {
  const [info, ...more] = parseDer(der) ?? []
  const [algorithm, data, ...rest] = sequenceOf(info) ?? []
  const [scheme, parameters] = sequenceOf(algorithm) ?? []
  const ciphertext = contentOf(data, DER.octets)
  const schemeId = contentOf(scheme, DER.oid)?.toString('hex')
  if (schemeId === undefined || ciphertext === undefined || more.length + rest.length > 0) {
    throw invalidKey(what, 'its content is not an encrypted key in PKCS#8')
  }
  if (schemeId !== PBES2) {
    throw invalidKey(what, 'it is not encrypted by PBES2, but in an older way', { hint: RENEW })
  }
  const [kdf, encryption] = sequenceOf(parameters) ?? []
  const { derivation, salt } = readDerivation(kdf, what)
  const [cipherId, iv] = sequenceOf(encryption) ?? []
  const cipher = CIPHERS[contentOf(cipherId, DER.oid)?.toString('hex') ?? '']
  if (cipher === undefined) throw invalidKey(what, 'its cipher is not AES in CBC mode', { hint: RENEW })
  const ivBytes = contentOf(iv, DER.octets)
  if (ivBytes?.byteLength !== cipher.ivBytes) throw invalidKey(what, 'its initial value has a wrong length')
  return { derivation, salt, cipher: cipher.name, keyBytes: cipher.keyBytes, iv: ivBytes, ciphertext }
}

const RENEW = 'Encrypt it anew with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in <file> -out <new file>.'

function readDerivation(
  value: DerValue | undefined,
  what: string,
): { derivation: KeyDerivation; salt: Buffer } {
  const [name, parameters] = sequenceOf(value) ?? []
  const [salt, ...numbers] = sequenceOf(parameters) ?? []
  const saltBytes = contentOf(salt, DER.octets)
  const id = contentOf(name, DER.oid)?.toString('hex')
  if (saltBytes === undefined || (id !== PBKDF2 && id !== SCRYPT)) {
    throw invalidKey(what, 'its password is not stretched by PBKDF2 or scrypt', { hint: RENEW })
  }
  const derivation = id === PBKDF2 ? pbkdf2Of(numbers, what) : scryptOf(numbers, what)
  return { derivation, salt: saltBytes }
}

function pbkdf2Of([iterations, ...more]: readonly DerValue[], what: string): KeyDerivation {
  const count = integerOf(iterations)
  if (count === undefined || count === 0) throw invalidKey(what, 'its PBKDF2 has no number of iterations')
  if (count > LIMITS.pbkdf2Iterations) {
    throw invalidKey(
      what,
      `its PBKDF2 takes ${count} iterations, beyond the limit of ${LIMITS.pbkdf2Iterations}`,
    )
  }
  // Between them may stand the length of the key, which the cipher has too.
  const prf = more.find(({ tag }) => tag === DER.sequence)
  const [prfId] = sequenceOf(prf) ?? []
  const hash = prf === undefined ? 'sha1' : HASHES[contentOf(prfId, DER.oid)?.toString('hex') ?? '']
  if (hash === undefined)
    throw invalidKey(what, 'its PBKDF2 is over another function than HMAC with SHA-1 or SHA-2')
  return { name: 'pbkdf2', hash, iterations: count }
}

function scryptOf(numbers: readonly DerValue[], what: string): KeyDerivation {
  const [N = 0, r = 0, p = 0] = numbers.map(integerOf)
  const isPower = N > 1 && Number.isInteger(Math.log2(N))
  if (!isPower || r < 1 || p < 1) throw invalidKey(what, 'its scrypt parameters are not valid')
  if (128 * N * r > LIMITS.scryptBytes || p > LIMITS.scryptParallelism) {
    throw invalidKey(what, `its scrypt parameters N=${N}, r=${r}, p=${p} are beyond the limits`)
  }
  return { name: 'scrypt', N, r, p }
}

/**
 * Decrypts an encrypted PKCS#8 key, on Node's thread pool. That it holds a key is not checked.
 * @param password bytes, may be empty.
 * @returns the unencrypted PKCS#8, a secret that the caller zeroes after use.
 * @throws INVALID_PASSWORD (damage looks the same)
 */
export async function decryptPkcs8(
  { derivation, salt, cipher, keyBytes, iv, ciphertext }: EncryptedPkcs8,
  password: Uint8Array,
  what: string,
): Promise<Buffer> {
  const secret = await deriveKey(derivation, password, salt, keyBytes)
  try {
    const decipher = createDecipheriv(cipher, secret, iv)
    return Buffer.concat([decipher.update(ciphertext), decipher.final()])
  } catch {
    throw wrongPassword(what)
  } finally {
    secret.fill(0)
  }
}

/** An INVALID_PASSWORD for a key in a file that is imported. */
export function wrongPassword(what: string): CosignetError {
  return new CosignetError('INVALID_PASSWORD', `${what} cannot be decrypted with the password given.`)
}

/**
 * Encrypts a private key as PKCS#8 for other tools: PEM `ENCRYPTED PRIVATE KEY`, PBES2 with PBKDF2 (HMAC-SHA-256,
 * 600 000 iterations) and AES-256 in CBC mode, which OpenSSL 1.1 and later, Java and others read.
 * @param password bytes, may be empty.
 * @param random gives that many random bytes: 16 for the salt, then 16 for the initial value. Default: the system's.
 */
export async function encryptPkcs8(
  key: SigningKey,
  password: Uint8Array,
  random: (size: number) => Uint8Array = randomBytes,
): Promise<string> {
  const salt = random(16)
  const iv = random(16)
  const derivation: KeyDerivation = { name: 'pbkdf2', hash: 'sha256', iterations: ITERATIONS }
  const secret = await deriveKey(derivation, password, salt, 32)
  const plaintext = key.exportPkcs8()
  try {
    const cipher = createCipheriv('aes-256-cbc', secret, iv)
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
    return formatPem('ENCRYPTED PRIVATE KEY', encodeInfo(salt, iv, ciphertext))
  } finally {
    secret.fill(0)
    plaintext.fill(0)
  }
}

/** Writes a private key as PKCS#8 in PEM, unencrypted: a secret. */
export function formatPkcs8(key: SigningKey): string {
  const plaintext = key.exportPkcs8()
  try {
    return formatPem('PRIVATE KEY', plaintext)
  } finally {
    plaintext.fill(0)
  }
}

function encodeInfo(salt: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Buffer {
  const id = (hex: string): Buffer => encodeDer(DER.oid, Buffer.from(hex, 'hex'))
  const sequence = (...parts: readonly Buffer[]): Buffer => encodeDer(DER.sequence, ...parts)
  const octets = (bytes: Uint8Array): Buffer => encodeDer(DER.octets, bytes)
  const prf = sequence(id(HMAC_SHA256), encodeDer(DER.null))
  const kdf = sequence(id(PBKDF2), sequence(octets(salt), encodeInteger(ITERATIONS), prf))
  const cipher = sequence(id(AES_256_CBC), octets(iv))
  return sequence(sequence(id(PBES2), sequence(kdf, cipher)), octets(ciphertext))
}

const scryptAsync = promisify<Uint8Array, Uint8Array, number, ScryptOptions, Buffer>(scrypt)
const pbkdf2Async = promisify(pbkdf2)

function deriveKey(
  derivation: KeyDerivation,
  password: Uint8Array,
  salt: Uint8Array,
  keyBytes: number,
): Promise<Buffer> {
  if (derivation.name === 'pbkdf2') {
    return pbkdf2Async(password, salt, derivation.iterations, keyBytes, derivation.hash)
  }
  const { N, r, p } = derivation
  return scryptAsync(password, salt, keyBytes, { N, r, p, maxmem: 128 * r * (N + p + 64) })
}
