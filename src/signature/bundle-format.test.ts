import { describe, expect, it } from 'vitest'
import {
  ATTESTED_BUNDLE,
  BUNDLED_ANNOTATIONS,
  BUNDLED_DIGEST,
  FIRST_BUNDLE_PUB,
  LOGGED_BUNDLE,
  LOGGED_DIGEST,
  SIGNED_BUNDLE,
  SIGNED_BUNDLE_MANIFEST,
} from '../../test/fixtures/cosign-bundles.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { parsePublicKey } from '../keys/index.ts'
import { parseDigest } from '../oci/index.ts'
import { encodeBundle, parseBundle, type UntrustedBundle } from './bundle-format.ts'
import { encodeBundleManifest } from './bundle-manifest.ts'
import { encodeStatement } from './statement.ts'

function read(text: string): UntrustedBundle {
  return parseBundle(encodeUtf8(text))
}

function envelopeOf(text: string) {
  const { content } = read(text)
  if (content.kind !== 'dsse') throw new Error('not an envelope')
  return content.envelope
}

/** JSON without white space: cosign's own spacing is different from build to build. */
function compact(json: string): string {
  return JSON.stringify(JSON.parse(json))
}

/** Base64 of the SHA-256 of the key's SPKI. */
const HINT = Buffer.from(parsePublicKey(encodeUtf8(FIRST_BUNDLE_PUB), 'The key').fingerprint, 'hex').toString(
  'base64',
)

describe('a bundle', () => {
  it.each([
    ['cosign 3.1 signed', SIGNED_BUNDLE, 0],
    ['cosign 3.1 signed and logged', LOGGED_BUNDLE, 1],
    ['cosign 2.5 attested', ATTESTED_BUNDLE, 0],
  ])('that %s is read, and written again the same but for white space', (_, text, entries) => {
    const bundle = read(text)
    expect(bundle.signer).toEqual({ kind: 'key', hint: HINT })
    expect(bundle.logEntries).toHaveLength(entries)
    const written = encodeBundle({ envelope: envelopeOf(text), hint: HINT, logEntries: bundle.logEntries })
    expect(written).toBe(compact(text))
  })

  it('of a certificate is read as such', () => {
    const { publicKey: _, ...material } = JSON.parse(SIGNED_BUNDLE).verificationMaterial
    const changed = {
      ...JSON.parse(SIGNED_BUNDLE),
      verificationMaterial: { ...material, certificate: { rawBytes: '' } },
    }
    expect(read(JSON.stringify(changed)).signer).toEqual({ kind: 'certificate' })
  })

  it('of a file is read as such', () => {
    const { dsseEnvelope: _, ...bundle } = JSON.parse(SIGNED_BUNDLE)
    const messageSignature = { messageDigest: { algorithm: 'SHA2_256', digest: 'AAAA' }, signature: 'AAAA' }
    expect(read(JSON.stringify({ ...bundle, messageSignature })).content).toEqual({ kind: 'message' })
  })

  it('of zero entries and indices leaves them out, as protojson does', () => {
    const [entry] = read(LOGGED_BUNDLE).logEntries
    if (entry?.proof === undefined) throw new Error('no entry')
    const zero = { ...entry, logIndex: 0, proof: { ...entry.proof, logIndex: 0, hashes: [] } }
    const written = encodeBundle({ envelope: envelopeOf(LOGGED_BUNDLE), hint: '', logEntries: [zero] })
    const [first] = JSON.parse(written).verificationMaterial.tlogEntries
    expect(first).not.toHaveProperty('logIndex')
    expect(Object.keys(first.inclusionProof)).toEqual(['rootHash', 'treeSize', 'checkpoint'])
  })

  it.each([
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: it is not JSON: line 1, column 1: a value expected.',
      '',
    ],
    ['INVALID_SIGNATURE', 'The sigstore bundle is not valid: it is not UTF-8 text.', Buffer.of(0xff)],
    ['INVALID_SIGNATURE', 'The sigstore bundle is not valid: it is not an object.', '[]'],
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: it has the unknown member "toString".',
      '{"toString":1}',
    ],
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: it has the unknown member "__proto__".',
      '{"__proto__":1}',
    ],
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: its media type "application/json" is not one of a bundle.',
      '{"mediaType":"application/json"}',
    ],
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: it is of version 0.2, and beside an image only 0.3 is read.',
      SIGNED_BUNDLE.replace('v0.3', 'v0.2'),
    ],
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: it is nested deeper than 127 levels.',
      `{"mediaType":${'['.repeat(128)}`,
    ],
    [
      'INVALID_SIGNATURE',
      'The sigstore bundle is not valid: tlogEntries has more than 32 items.',
      LOGGED_BUNDLE.replace('"tlogEntries":[', `"tlogEntries":[${'{},'.repeat(32)}`),
    ],
    [
      'TOO_LARGE',
      'The sigstore bundle is larger than the limit of 1048576 bytes.',
      ' '.repeat(LIMITS.payloadBytes + 1),
    ],
  ])('is refused with %s: %s', (code, message, text) => {
    const bytes = typeof text === 'string' ? encodeUtf8(text) : text
    expect(() => parseBundle(bytes)).toThrow(expect.objectContaining({ code, message }))
  })

  it('cut short anywhere is refused by name', () => {
    for (let length = 0; length < LOGGED_BUNDLE.length; length += 13) {
      expect(() => read(LOGGED_BUNDLE.slice(0, length))).toThrow(
        expect.objectContaining({ code: 'INVALID_SIGNATURE' }),
      )
    }
  })
})

describe('encodeStatement', () => {
  it.each([
    ['with annotations', SIGNED_BUNDLE, BUNDLED_DIGEST, BUNDLED_ANNOTATIONS],
    ['without annotations', LOGGED_BUNDLE, LOGGED_DIGEST, {}],
  ])('writes what cosign 3.1 signs %s, but for white space', (_, bundle, digest, annotations) => {
    const theirs = Buffer.from(envelopeOf(bundle).payload).toString()
    const ours = Buffer.from(encodeStatement(digest, annotations)).toString()
    expect(ours).toBe(compact(theirs))
  })

  it('sorts annotations by their bytes, as Go does, and not by UTF-16', () => {
    const written = Buffer.from(
      encodeStatement(BUNDLED_DIGEST, { '\u{1F511}': '', '\uFFFD': '', b: '', a: '' }),
    )
    expect(written.toString()).toContain('"annotations":{"a":"","b":"","\uFFFD":"","\u{1F511}":""}')
  })
})

describe('encodeBundleManifest', () => {
  it('writes the manifest of cosign 3.1 byte for byte', () => {
    const { subject, annotations } = JSON.parse(SIGNED_BUNDLE_MANIFEST)
    const image = {
      bytes: Buffer.alloc(subject.size),
      digest: parseDigest(subject.digest),
      mediaType: subject.mediaType,
    }
    const created = new Date(`${annotations['org.opencontainers.image.created'].replace('Z', '.999Z')}`)
    const manifest = encodeBundleManifest(encodeUtf8(SIGNED_BUNDLE), image, created)
    expect(Buffer.from(manifest.bytes).toString()).toBe(SIGNED_BUNDLE_MANIFEST)
  })
})
