import { CosignetError, encodeUtf8, LIMITS, quote } from '../core/index.ts'
import { type PublicKey, parsePublicKey } from '../keys/index.ts'

/** Public keys of transparency logs, by log ID: lower-case hex of the SHA-256 of the SPKI (RFC 6962, section 3.2). */
export type RekorKeys = ReadonlyMap<string, PublicKey>

const BLOCK = /-----BEGIN [^\r\n-]+-----[\s\S]*?-----END [^\r\n-]+-----/g

/**
 * Reads the keys of transparency logs: PEM, one block a key, ECDSA as Rekor v1 signs with. cosign reads the first block
 * of what SIGSTORE_REKOR_PUBLIC_KEY names.
 * @param what names the file in messages.
 * @throws INVALID_KEY, TOO_LARGE
 */
export function parseRekorKeys(pem: Uint8Array, what: string): RekorKeys {
  if (pem.byteLength > LIMITS.keyBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.keyBytes} bytes.`)
  }
  const blocks = Buffer.from(pem).toString('latin1').match(BLOCK) ?? []
  const [first, ...others] = blocks
  // What is no PEM is told of by the reader of one key.
  if (first === undefined || blocks.length === 1) return keysOf([parsePublicKey(pem, what)], what)
  return keysOf(
    [first, ...others].map((block, index) =>
      parsePublicKey(encodeUtf8(`${block}\n`), `${what} (block ${index + 1})`),
    ),
    what,
  )
}

/** The key of the public log rekor.sigstore.dev; its log ID is c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d. */
export function publicRekorKeys(): RekorKeys {
  return parseRekorKeys(encodeUtf8(PUBLIC_KEY), 'The key of rekor.sigstore.dev')
}

/** Distributed by the sigstore TUF repository as `rekor.pub`. */
const PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwr
kBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==
-----END PUBLIC KEY-----
`

function keysOf(keys: readonly PublicKey[], what: string): RekorKeys {
  for (const { algorithm } of keys) {
    if (algorithm.startsWith('ecdsa-')) continue
    throw new CosignetError(
      'INVALID_KEY',
      `${what} holds a key of the kind ${quote(algorithm)}: a transparency log of version 1 signs with ECDSA.`,
    )
  }
  return new Map(keys.map((key) => [key.fingerprint, key]))
}
