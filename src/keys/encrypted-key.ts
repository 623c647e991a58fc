import { createPrivateKey, type KeyObject, randomBytes, type ScryptOptions, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import {
  CosignetError,
  encodeBase64,
  encodeUtf8,
  isCosignetError,
  type JsonValue,
  parseJson,
  quote,
  reasonOf,
} from '../core/index.ts'
import { type ExpectedBlock, formatPem, invalidKey, parsePem } from './pem.ts'
import { type SigningKey, signingKeyOf } from './signing-key.ts'

/** What cosign writes since 2.0.1. */
const LABEL = 'ENCRYPTED SIGSTORE PRIVATE KEY'

/** PEM labels of the private keys of cosign: of today, and what it wrote before. */
export const COSIGN_LABELS: readonly string[] = [LABEL, 'ENCRYPTED COSIGN PRIVATE KEY']

const IMPORT = 'Encrypt it first with: cosignet key import <file>.'

const EXPECTED: ExpectedBlock = {
  labels: COSIGN_LABELS,
  kind: 'an encrypted private key of cosign',
  hints: {
    'PUBLIC KEY': 'Give the .key file that was made together with it.',
    'PRIVATE KEY': IMPORT,
    'EC PRIVATE KEY': IMPORT,
    'RSA PRIVATE KEY': IMPORT,
    'ENCRYPTED PRIVATE KEY': IMPORT,
  },
}

/** The scrypt cost that cosign writes since 2.2. */
const COST = 65536
/** The costs that its reader allows (securesystemslib, encrypted.go); cosign wrote 32768 up to 2.1. */
const COSTS: readonly number[] = [32768, COST, 131072]
const BLOCK_SIZE = 8
const PARALLELISM = 1
const SALT_BYTES = 32
const NONCE_BYTES = 24
const SECRETBOX_KEY_BYTES = 32

/**
 * Encrypts a private key as cosign 2.2 and later do: scrypt (N=65536, r=8, p=1) and NaCl secretbox over PKCS#8, in a PEM
 * block `ENCRYPTED SIGSTORE PRIVATE KEY`. cosign 2.0 and 2.1 cannot read it.
 * @param password bytes, may be empty.
 * @param random gives that many random bytes: 32 for the salt, then 24 for the nonce. Default: the system's.
 */
export async function encryptPrivateKey(
  key: SigningKey,
  password: Uint8Array,
  random: (size: number) => Uint8Array = randomBytes,
): Promise<string> {
  const salt = random(SALT_BYTES)
  const nonce = random(NONCE_BYTES)
  const plaintext = key.exportPkcs8()
  try {
    const secret = await deriveKey(password, salt, COST)
    const ciphertext = await withSecretbox(secret, nonce, (box) => box.seal(plaintext))
    const json =
      `{"kdf":{"name":"scrypt","params":{"N":${COST},"r":${BLOCK_SIZE},"p":${PARALLELISM}},` +
      `"salt":"${encodeBase64(salt)}"},"cipher":{"name":"nacl/secretbox","nonce":"${encodeBase64(nonce)}"},` +
      `"ciphertext":"${encodeBase64(ciphertext)}"}`
    return formatPem(LABEL, encodeUtf8(json))
  } finally {
    plaintext.fill(0)
  }
}

/**
 * Decrypts a private key file of any cosign. The slow part (about 0.2 s) runs on Node's thread pool, so the caller can
 * use the network meanwhile.
 * @param bytes the PEM file.
 * @param password bytes, may be empty.
 * @param what names the file in messages.
 * @throws INVALID_PASSWORD if the password does not open it (damage looks the same); INVALID_KEY that says what the
 * file is instead; TOO_LARGE
 */
export async function decryptPrivateKey(
  bytes: Uint8Array,
  password: Uint8Array,
  what = 'The private key',
): Promise<SigningKey> {
  const { cost, salt, nonce, ciphertext } = readKeyEnvelope(bytes, what)
  const secret = await deriveKey(password, salt, cost)
  const plaintext = await withSecretbox(secret, nonce, (box) => openOrRefuse(box, ciphertext, what))
  try {
    return signingKeyOf(readPkcs8(plaintext, what))
  } finally {
    plaintext.fill(0)
  }
}

/** A private key file of cosign, taken apart. */
export interface KeyEnvelope {
  /** N of scrypt. */
  readonly cost: number
  /** r and p of scrypt: cosign has only ever used these. */
  readonly blockSize: typeof BLOCK_SIZE
  readonly parallelism: typeof PARALLELISM
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly ciphertext: Uint8Array
}

/** Takes a private key file of cosign apart, without its password. @throws INVALID_KEY, TOO_LARGE */
export function readKeyEnvelope(bytes: Uint8Array, what: string): KeyEnvelope {
  const block = parsePem(bytes, what, EXPECTED)
  const fail = (reason: string): never => {
    throw invalidKey(what, reason)
  }
  const document = readJson(block.bytes, what)
  const kdf = member(document, 'kdf')
  const params = member(kdf, 'params')
  const cipher = member(document, 'cipher')
  for (const [part, name] of [
    [kdf, 'scrypt'],
    [cipher, 'nacl/secretbox'],
  ] as const) {
    if (member(part, 'name') !== name) fail(`it is not encrypted with ${quote(name)}`)
  }
  const cost = member(params, 'N')
  const allowed = typeof cost === 'number' && COSTS.includes(cost)
  if (!allowed || member(params, 'r') !== BLOCK_SIZE || member(params, 'p') !== PARALLELISM) {
    return fail(`its scrypt parameters ${quote(JSON.stringify(params))} are none that cosign uses`)
  }
  const nonce = binary(member(cipher, 'nonce'))
  if (nonce?.byteLength !== NONCE_BYTES) return fail(`its nonce is not the base64 of ${NONCE_BYTES} bytes`)
  const salt = binary(member(kdf, 'salt')) ?? fail('its salt is not base64')
  const ciphertext = binary(member(document, 'ciphertext')) ?? fail('its ciphertext is not base64')
  return { cost, blockSize: BLOCK_SIZE, parallelism: PARALLELISM, salt, nonce, ciphertext }
}

function readJson(bytes: Uint8Array, what: string): JsonValue {
  try {
    return parseJson(bytes, 'its content')
  } catch (error) {
    throw isCosignetError(error) ? invalidKey(what, reasonOf(error), { cause: error }) : error
  }
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? (value as { readonly [key: string]: JsonValue })[name] : undefined
}

/** Decodes base64 without quoting it when it is none: it is part of an encrypted secret. */
function binary(value: JsonValue | undefined): Uint8Array | undefined {
  if (typeof value !== 'string') return undefined
  const bytes = Buffer.from(value, 'base64')
  return bytes.toString('base64') === value ? bytes : undefined
}

const scryptAsync = promisify<Uint8Array, Uint8Array, number, ScryptOptions, Buffer>(scrypt)

function deriveKey(password: Uint8Array, salt: Uint8Array, cost: number): Promise<Buffer> {
  // OpenSSL refuses more than 32 MiB unless it is told; scrypt takes 128 * N * r bytes and a little.
  const maxmem = 128 * BLOCK_SIZE * (cost + 64)
  return scryptAsync(password, salt, SECRETBOX_KEY_BYTES, {
    N: cost,
    r: BLOCK_SIZE,
    p: PARALLELISM,
    maxmem,
  })
}

interface Secretbox {
  seal(plaintext: Uint8Array): Uint8Array
  open(ciphertext: Uint8Array): Uint8Array
}

/** Lends the box (loaded when it is first needed) and zeroes its key. */
async function withSecretbox<T>(secret: Buffer, nonce: Uint8Array, use: (box: Secretbox) => T): Promise<T> {
  try {
    const { secretbox } = await import('@noble/ciphers/salsa.js')
    return use(secretbox(secret, nonce))
  } finally {
    secret.fill(0)
  }
}

function openOrRefuse(box: Secretbox, ciphertext: Uint8Array, what: string): Uint8Array {
  try {
    return box.open(ciphertext)
  } catch (error) {
    throw new CosignetError('INVALID_PASSWORD', `${what} cannot be decrypted with the password given.`, {
      cause: error,
      hint: 'Set COSIGN_PASSWORD to the password of this key, and to nothing if it has an empty one.',
    })
  }
}

function readPkcs8(plaintext: Uint8Array, what: string): KeyObject {
  try {
    return createPrivateKey({
      key: Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength),
      format: 'der',
      type: 'pkcs8',
    })
  } catch {
    // The cause stays out of it: it speaks of a secret.
    throw invalidKey(what, 'what it encrypts is not a private key in PKCS#8')
  }
}
