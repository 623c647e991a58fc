import { describe, expect, it } from 'vitest'
import {
  ATTESTED_BUNDLE,
  BUNDLED_ANNOTATIONS,
  BUNDLED_DIGEST,
  FIRST_BUNDLE_PUB,
  LOGGED_BUNDLE,
  LOGGED_DIGEST,
  REKOR_PUB,
  SECOND_BUNDLE_PUB,
  SIGNED_BUNDLE,
} from '../../test/fixtures/cosign-bundles.ts'
import { makeKey, pemOf } from '../../test/fixtures/judged-image.ts'
import { BODIES, makeTestLog } from '../../test/fixtures/test-log.ts'
import { encodeUtf8 } from '../core/index.ts'
import { parsePublicKey, type SigningKey } from '../keys/index.ts'
import { digestOf } from '../oci/index.ts'
import type { UntrustedBundle } from './bundle-format.ts'
import {
  NOT_CHECKED_BY_COSIGN,
  parseBundle,
  parseRekorKeys,
  publicRekorKeys,
  type VerifyBundleOptions,
  verifyBundle,
} from './index.ts'
import type { RekorEntry } from './rekor-entry.ts'

const first = parsePublicKey(encodeUtf8(FIRST_BUNDLE_PUB), 'The key')
const second = parsePublicKey(encodeUtf8(SECOND_BUNDLE_PUB), 'The key')
const theirLog = parseRekorKeys(encodeUtf8(REKOR_PUB), 'The key of the log')

function read(text: string): UntrustedBundle {
  return parseBundle(encodeUtf8(text))
}

describe('verifyBundle, of what cosign wrote', () => {
  it('accepts a signature, with the annotations that it was made with', () => {
    const verified = verifyBundle(read(SIGNED_BUNDLE), first, {
      digest: BUNDLED_DIGEST,
      annotations: { z: BUNDLED_ANNOTATIONS.z },
    })
    expect(verified).toMatchObject({ subject: { annotations: new Map(Object.entries(BUNDLED_ANNOTATIONS)) } })
    expect(verified).not.toHaveProperty('log')
  })

  it('accepts a signature that a log promised, and says when', () => {
    const [entry] = JSON.parse(LOGGED_BUNDLE).verificationMaterial.tlogEntries
    const options = { digest: LOGGED_DIGEST, rekorKeys: theirLog }
    expect(verifyBundle(read(LOGGED_BUNDLE), first, options)).toMatchObject({
      log: {
        logIndex: Number(entry.logIndex),
        integratedTime: new Date(Number(entry.integratedTime) * 1000),
        logId: Buffer.from(entry.logId.keyId, 'base64').toString('hex'),
      },
    })
  })

  it.each([
    ['another key', SIGNED_BUNDLE, second, { digest: BUNDLED_DIGEST }, 'signature-mismatch'],
    ['another image', SIGNED_BUNDLE, first, { digest: LOGGED_DIGEST }, 'other-image'],
    ['no log entry', SIGNED_BUNDLE, first, { digest: BUNDLED_DIGEST, rekorKeys: theirLog }, 'log-missing'],
    [
      'another log',
      LOGGED_BUNDLE,
      first,
      { digest: LOGGED_DIGEST, rekorKeys: publicRekorKeys() },
      'log-unknown',
    ],
    [
      'another value',
      SIGNED_BUNDLE,
      first,
      { digest: BUNDLED_DIGEST, annotations: { b: '3' } },
      'annotation-mismatch',
    ],
    [
      'another name',
      SIGNED_BUNDLE,
      first,
      { digest: BUNDLED_DIGEST, annotations: { x: '' } },
      'annotation-mismatch',
    ],
    [
      'the name of a method',
      SIGNED_BUNDLE,
      first,
      { digest: BUNDLED_DIGEST, annotations: { toString: '' } },
      'annotation-mismatch',
    ],
  ] as const)('refuses %s', (_, bundle, key, options, failure) => {
    expect(verifyBundle(read(bundle), key, options)).toMatchObject({ failure })
  })

  // cosign verify lists it as a signature.
  it('GHSA-w6c6-c85g-mmv6: takes no attestation for a signature', () => {
    const failure = 'predicate-type'
    expect(verifyBundle(read(ATTESTED_BUNDLE), first, { digest: BUNDLED_DIGEST })).toEqual({
      failure,
      message:
        'What is signed is an attestation, "https://cosign.sigstore.dev/attestation/v1", not a signature.',
    })
    expect(NOT_CHECKED_BY_COSIGN).toContain(failure)
    // By another key it is not even that.
    const wrong = verifyBundle(read(ATTESTED_BUNDLE), second, { digest: BUNDLED_DIGEST })
    expect(wrong).toMatchObject({ failure: 'signature-mismatch' })
  })
})

const IMAGE = digestOf(encodeUtf8('image'))
const HEX = IMAGE.slice('sha256:'.length)
const signer = makeKey()
const log = makeTestLog()

type Statement = Readonly<Record<string, unknown>>

const STATEMENT: Statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ digest: { sha256: HEX }, annotations: { a: '1' } }],
  predicateType: 'https://sigstore.dev/cosign/sign/v1',
  predicate: {},
}

const TYPE = 'application/vnd.in-toto+json'

/** Signs what it is given by the rules of DSSE, written down here once more. */
function signed(payload: string, key: SigningKey = signer, type = TYPE): UntrustedBundle {
  const message = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${Buffer.byteLength(payload)} ${payload}`
  const signature = key.sign(Buffer.from(message))
  return {
    content: {
      kind: 'dsse',
      envelope: { payloadType: type, payload: Buffer.from(payload), signatures: [{ signature, keyId: '' }] },
    },
    signer: { kind: 'key', hint: '' },
    logEntries: [],
  }
}

function verify(bundle: UntrustedBundle, options: Partial<VerifyBundleOptions> = {}, key = signer) {
  return verifyBundle(bundle, key.publicKey, { digest: IMAGE, ...options })
}

function signedStatement(change: Statement = {}): UntrustedBundle {
  return signed(JSON.stringify({ ...STATEMENT, ...change }))
}

/** The same bundle with log entries, each of the signature of `of`. */
function logged(...entries: readonly RekorEntry[]): UntrustedBundle {
  return { ...BASE, logEntries: entries }
}

const BASE = signedStatement()
const OTHER = signedStatement({ predicate: { other: 1 } })

function partsOf({ content }: UntrustedBundle) {
  if (content.kind !== 'dsse') throw new Error('not an envelope')
  const { payload, signatures } = content.envelope
  return { payload, signature: signatures[0]?.signature ?? Buffer.alloc(0), publicKey: pemOf(signer) }
}

describe('verifyBundle', () => {
  it.each(['p256', 'p384', 'p521', 'rsa', 'ed25519'] as const)(
    'verifies %s as cosign verify does',
    (kind) => {
      const key = makeKey(kind)
      expect(verify(signed(JSON.stringify(STATEMENT), key), {}, key)).toHaveProperty('subject')
    },
  )

  it('verifies ECDSA over SHA-256 alone, whatever the curve', () => {
    const key = makeKey('p384', 'sha384')
    expect(verify(signed(JSON.stringify(STATEMENT), key), {}, key)).toHaveProperty(
      'failure',
      'signature-mismatch',
    )
  })

  it.each([
    ['a statement of version 0.1', { _type: 'https://in-toto.io/Statement/v0.1' }],
    ['several subjects', { subject: [{ digest: { sha256: 'ab' } }, { digest: { sha256: HEX } }] }],
    ['several digests', { subject: [{ name: 'x', digest: { sha512: 'ab', sha256: HEX } }] }],
    ['no predicate', { predicate: undefined }],
    ['names in snake case', { predicateType: undefined, predicate_type: STATEMENT['predicateType'] }],
    ['null where nothing stands', { predicate: null }],
    [
      'annotations of all kinds',
      { subject: [{ digest: { sha256: HEX }, annotations: { a: [1, null, {}] } }] },
    ],
  ] as const)('accepts %s', (_, change) => {
    expect(verify(signedStatement(change))).toHaveProperty('subject')
  })

  it.each([
    ['no subject', { subject: [] }, 'other-image'],
    ['no list of subjects', { subject: undefined }, 'other-image'],
    ['a subject without a digest', { subject: [{ name: IMAGE }] }, 'other-image'],
    ['the digest by another algorithm', { subject: [{ digest: { sha512: HEX } }] }, 'other-image'],
    ['the digest in upper case', { subject: [{ digest: { sha256: HEX.toUpperCase() } }] }, 'other-image'],
    ['the digest with its algorithm', { subject: [{ digest: { sha256: IMAGE } }] }, 'malformed-statement'],
    [
      'a digest beside that is not hex',
      { subject: [{ digest: { sha256: HEX, x: 'x' } }] },
      'malformed-statement',
    ],
    ['a digest that is null', { subject: [{ digest: { sha256: null } }] }, 'malformed-statement'],
    ['a subject that is null', { subject: [null, { digest: { sha256: HEX } }] }, 'malformed-statement'],
    ['a subject that is no list', { subject: { digest: { sha256: HEX } } }, 'malformed-statement'],
    ['a predicate that is text', { predicate: 'text' }, 'malformed-statement'],
    ['an unknown member', { more: 1 }, 'malformed-statement'],
    ['its type twice', { type: 'x' }, 'malformed-statement'],
    ['a list of annotations', { subject: [{ digest: {}, annotations: [] }] }, 'malformed-statement'],
    ['too many subjects', { subject: Array(1025).fill({ digest: { sha256: HEX } }) }, 'malformed-statement'],
    ['another statement type', { _type: 'https://in-toto.io/Statement/v2' }, 'statement-type'],
    ['no statement type', { _type: undefined }, 'statement-type'],
    ['no predicate type', { predicateType: undefined }, 'predicate-type'],
    ['another predicate type', { predicateType: 'https://spdx.dev/Document' }, 'predicate-type'],
  ] as const)('refuses %s', (_, change, failure) => {
    expect(verify(signedStatement(change))).toMatchObject({ failure, message: expect.stringMatching(/\.$/) })
  })

  it.each([
    ['nothing', ''],
    ['what is not JSON', '{'],
    ['a member twice', '{"subject":[],"subject":[]}'],
    ['deep nesting', `{"predicate":${'['.repeat(200)}`],
  ])('refuses a signed payload of %s', (_, payload) => {
    expect(verify(signed(payload))).toHaveProperty('failure', 'malformed-statement')
  })

  it('refuses another type of payload, although it is signed', () => {
    const bundle = signed(JSON.stringify(STATEMENT), signer, 'application/json')
    expect(verify(bundle)).toHaveProperty('failure', 'payload-type')
  })

  it('refuses a signature over the payload alone', () => {
    const { payload } = partsOf(BASE)
    const signature = signer.sign(payload)
    const envelope = { payloadType: TYPE, payload, signatures: [{ signature, keyId: '' }] }
    const bundle: UntrustedBundle = { ...BASE, content: { kind: 'dsse', envelope } }
    expect(verify(bundle)).toHaveProperty('failure', 'signature-mismatch')
  })

  it('looks for annotations on the first subject that is the image, as cosign does', () => {
    const subject = [{ digest: { sha256: HEX } }, { digest: { sha256: HEX }, annotations: { a: '1' } }]
    const options = { annotations: { a: '1' } }
    expect(verify(BASE, options)).toHaveProperty('subject')
    expect(verify(signedStatement({ subject }), options)).toHaveProperty('failure', 'annotation-mismatch')
    const number = [{ digest: { sha256: HEX }, annotations: { a: 1 } }]
    expect(verify(signedStatement({ subject: number }), options)).toHaveProperty(
      'failure',
      'annotation-mismatch',
    )
  })

  it('verifies an image by SHA-512, too', () => {
    const digest = digestOf(encodeUtf8('image'), 'sha512')
    const subject = [{ digest: { sha512: digest.slice('sha512:'.length) } }]
    expect(verify(signedStatement({ subject }), { digest })).toHaveProperty('subject')
  })

  it('refuses the signature of a file, and one by a certificate', () => {
    expect(verify({ ...BASE, content: { kind: 'message' } })).toHaveProperty('failure', 'message-signature')
    expect(verify({ ...BASE, signer: { kind: 'certificate' } })).toHaveProperty('failure', 'certificate')
  })
})

describe('verifyBundle, with a log', () => {
  const options = { rekorKeys: log.rekorKeys }
  const good = log.enter(BODIES.dsse(partsOf(BASE)))
  const later = log.enter(BODIES.dsse(partsOf(BASE)), 3)
  const foreign = makeTestLog().enter(BODIES.dsse(partsOf(BASE)))

  it('accepts one entry that is good beside some of other logs', () => {
    expect(verify(logged(foreign, good), options)).toHaveProperty('log.logIndex', 102)
    expect(verify(logged(good, foreign), options)).toHaveProperty('log.logIndex', 102)
  })

  it('does not look at entries where no log is asked for', () => {
    expect(verify(logged(foreign))).not.toHaveProperty('log')
  })

  it('CVE-2022-36056: refuses the entry of another envelope, which the log did promise', () => {
    const entry = log.enter(BODIES.dsse(partsOf(OTHER)))
    expect(verify(logged(entry), options)).toHaveProperty('failure', 'log-signature-mismatch')
    const sameSignature = log.enter(BODIES.dsse({ ...partsOf(OTHER), signature: partsOf(BASE).signature }))
    expect(verify(logged(sameSignature), options)).toHaveProperty('failure', 'log-payload-mismatch')
  })

  it('CVE-2026-22703: refuses a good entry of another key and signature beside', () => {
    const other = makeKey()
    const { payload } = partsOf(BASE)
    const entry = log.enter(BODIES.dsse({ payload, signature: other.sign(payload), publicKey: pemOf(other) }))
    expect(verify(logged(entry), options)).toHaveProperty('failure', 'log-signature-mismatch')
  })

  it.each([
    ['of a known log that is wrong', [{ ...good, proof: log.enter({}).proof }, later], 'log-proof-mismatch'],
    ['given twice', [good, good], 'log-twice'],
    ['by another promise alone', [{ ...good, promise: foreign.promise }], 'log-promise-mismatch'],
    ['of a kind for other signatures', [log.enter(BODIES.hashedrekord(partsOf(BASE)))], 'log-kind-mismatch'],
  ] as const)('refuses an entry %s', (_, entries, failure) => {
    expect(verify(logged(...entries), options)).toHaveProperty('failure', failure)
  })

  it('names an entry of Rekor version 2, which it does not verify', () => {
    const entry = log.enter({ kind: 'hashedrekord', apiVersion: '0.0.2', spec: {} })
    expect(verify(logged(entry), options)).toMatchObject({
      failure: 'log-version-unsupported',
      message: 'The log entry is of a Rekor log of version 2, which is not verified here.',
    })
  })
})
