import { CosignetError, encodeBase64, LIMITS, quote } from '../core/index.ts'

/** The first block of a PEM file (RFC 7468). */
export interface PemBlock {
  /** What stands after BEGIN: `PUBLIC KEY`. */
  readonly label: string
  readonly bytes: Buffer
}

/** What a reader of a PEM file takes, and what it says of the rest. */
export interface ExpectedBlock {
  readonly labels: readonly string[]
  /** In the words of a message: "a public key". */
  readonly kind: string
  /** What to do with a block of another label. */
  readonly hints: Readonly<Record<string, string>>
  /** Labels of blocks that may stand before it and are passed over. Default: none. */
  readonly skip?: readonly string[]
}

const BEGIN = /(?:^|\n)-----BEGIN ([^\r\n]{1,64}?)-----[ \t]*\r?\n/g

/**
 * Reads the first PEM block of a file, as Go's encoding/pem does: text before it and all after it are ignored. Headers
 * within the block are refused; none of ours has any.
 * @param what names the file in messages, for example "The public key cosign.pub".
 * @throws INVALID_KEY that says what the file is instead; TOO_LARGE
 */
export function parsePem(bytes: Uint8Array, what: string, expected: ExpectedBlock): PemBlock {
  if (bytes.byteLength > LIMITS.keyBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.keyBytes} bytes.`)
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const begin = [...text.matchAll(BEGIN)].find(([, label = '']) => expected.skip?.includes(label) !== true)
  const label = begin?.[1]
  if (begin === undefined || label === undefined) throw notPem(text, what)
  if (!expected.labels.includes(label)) {
    const kind = KINDS[label] ?? `a PEM block ${quote(label)}`
    throw invalidKey(what, `it is ${kind}, not ${expected.kind}`, { hint: expected.hints[label] })
  }
  const start = begin.index + begin[0].length
  const end = text.indexOf(`\n-----END ${label}-----`, start)
  if (end === -1) throw invalidKey(what, `its block ${quote(label)} has no end, so it was cut short`)
  const base64 = text.slice(start, end).replace(/\s+/g, '')
  if (base64.startsWith('Proc-Type:'))
    throw invalidKey(what, 'it is encrypted in the old way of OpenSSL', { hint: RENEW })
  const content = Buffer.from(base64, 'base64')
  if (content.toString('base64') !== base64) {
    throw invalidKey(what, `its block ${quote(label)} does not hold plain base64`)
  }
  return { label, bytes: content }
}

const RENEW = 'Convert it first with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in <file> -out <new file>.'

/** Writes one PEM block as Go's encoding/pem does: 64 columns, a newline at the end. */
export function formatPem(label: string, bytes: Uint8Array): string {
  const lines = encodeBase64(bytes).match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** An INVALID_KEY that names the file. */
export function invalidKey(
  what: string,
  reason: string,
  options?: { readonly hint?: string | undefined; readonly cause?: unknown },
): CosignetError {
  return new CosignetError('INVALID_KEY', `${what} is not valid: ${reason}.`, options)
}

/** What the usual blocks are, in the words of their users. */
const KINDS: Readonly<Record<string, string>> = {
  'PUBLIC KEY': 'a public key',
  'RSA PUBLIC KEY': 'a public key',
  'PRIVATE KEY': 'an unencrypted private key',
  'EC PRIVATE KEY': 'an unencrypted private key',
  'RSA PRIVATE KEY': 'an unencrypted private key',
  'OPENSSH PRIVATE KEY': 'an OpenSSH private key',
  'ENCRYPTED PRIVATE KEY': 'an encrypted private key in PKCS#8',
  'ENCRYPTED SIGSTORE PRIVATE KEY': 'an encrypted private key of cosign',
  'ENCRYPTED COSIGN PRIVATE KEY': 'an encrypted private key of cosign',
  CERTIFICATE: 'a certificate',
  'PGP PUBLIC KEY BLOCK': 'an OpenPGP public key',
  'PGP PRIVATE KEY BLOCK': 'an OpenPGP private key',
}

/** Tags of OpenPGP packets that a binary key file begins with (RFC 9580, section 4.2). */
const OPENPGP_KEY = /^[\x98\x99\xc6\x94\x95\xc5]/

/** Whether a file begins as an OpenPGP key does, public or private, armored or binary. Its content is not looked at. */
export function looksLikeOpenPgp(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  return OPENPGP_KEY.test(text) || /(?:^|\n)-----BEGIN PGP (?:PUBLIC|PRIVATE) KEY BLOCK-----/.test(text)
}

function notPem(text: string, what: string): CosignetError {
  const trimmed = text.trim()
  if (trimmed === '') return invalidKey(what, 'it is empty')
  if (/^<(?:!doctype|html|\?xml)/i.test(trimmed)) {
    const hint = 'Give the address of the file itself, not of a page that shows it.'
    return invalidKey(what, 'it is a web page, not a PEM file', { hint })
  }
  if (/^[A-Za-z0-9+/=\s]+$/.test(trimmed)) {
    return Buffer.from(trimmed, 'base64').toString('latin1').startsWith('-----BEGIN ')
      ? invalidKey(what, 'it is the base64 of a PEM file', { hint: 'Decode it once with: base64 -d.' })
      : invalidKey(what, 'it is base64 without the lines BEGIN and END of a PEM file')
  }
  if (text.startsWith('0')) return invalidKey(what, 'it is DER, not PEM')
  if (OPENPGP_KEY.test(text)) return invalidKey(what, 'it is a binary OpenPGP key, not PEM')
  if (/^(?:ssh-|ecdsa-)/.test(trimmed)) return invalidKey(what, 'it is an OpenSSH public key, not PEM')
  return invalidKey(what, 'it holds no PEM block')
}
