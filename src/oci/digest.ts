import { createHash, type Hash } from 'node:crypto'
import { CosignetError, constantTimeEqual, encodeUtf8, quote } from '../core/index.ts'

declare const digestBrand: unique symbol

/** `algorithm:lower-case hex` of a registered algorithm and its right length; only this file makes one. */
export type Digest = string & { readonly [digestBrand]: true }

/** Length of the hex part, by algorithm (image-spec, descriptor.md, "Registered algorithms"). */
const HEX_LENGTH: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 }

/**
 * Parses a digest. Nothing else may stand in a URL or a file name (CVE-2024-3727), so there is no lenient form.
 * @throws INVALID_DIGEST
 */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new CosignetError(
      'INVALID_DIGEST',
      `${quote(text)} is not a digest such as sha256:<64 lower-case hex digits>.`,
    )
  }
  return text
}

/** Whether `text` is a digest in the one accepted form. */
export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(':')
  const length = colon === -1 ? undefined : HEX_LENGTH[text.slice(0, colon)]
  const hex = text.slice(colon + 1)
  return length !== undefined && hex.length === length && /^[0-9a-f]+$/.test(hex)
}

/** Algorithm and hex digits of a digest. */
export function digestParts(digest: Digest): { readonly algorithm: string; readonly hex: string } {
  const colon = digest.indexOf(':')
  return { algorithm: digest.slice(0, colon), hex: digest.slice(colon + 1) }
}

/** Computes the digest of `bytes`. */
export function digestOf(bytes: Uint8Array, algorithm: 'sha256' | 'sha384' | 'sha512' = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest
}

/**
 * Checks that `bytes` have the digest.
 * @param what names the bytes in the message, for example "The manifest of ghcr.io/a/b:c".
 * @throws DIGEST_MISMATCH
 */
export function checkDigest(bytes: Uint8Array, expected: Digest, what: string): void {
  const verifier = new DigestVerifier(expected, what)
  verifier.update(bytes)
  verifier.finish()
}

/** Computes a digest over chunks as they pass. */
export class DigestVerifier {
  readonly #hash: Hash
  readonly #expected: Digest
  readonly #what: string

  constructor(expected: Digest, what: string) {
    this.#hash = createHash(digestParts(expected).algorithm)
    this.#expected = expected
    this.#what = what
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk)
  }

  /** @throws DIGEST_MISMATCH if what was read has another digest. */
  finish(): void {
    requireDigest(this.#hash.digest('hex'), this.#expected, this.#what)
  }
}

/**
 * Checks a hash that was computed by the algorithm of a digest.
 * @param hex lower case.
 * @throws DIGEST_MISMATCH
 */
export function requireDigest(hex: string, expected: Digest, what: string): void {
  const actual = `${digestParts(expected).algorithm}:${hex}`
  if (!constantTimeEqual(encodeUtf8(actual), encodeUtf8(expected))) {
    throw new CosignetError('DIGEST_MISMATCH', `${what} has the digest ${actual}, not ${expected}.`)
  }
}
