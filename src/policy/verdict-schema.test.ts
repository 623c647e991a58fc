import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { schemaProblems } from '../../test/fixtures/judged-image.ts'
import type { Digest } from '../oci/index.ts'
import type {
  DenialCode,
  ProfileName,
  SeenSignature,
  SignatureFault,
  SignatureKind,
  SignatureTime,
  StepName,
  TraceStep,
} from './index.ts'
import { PROFILES } from './index.ts'

// The compiler refuses a name too many or too few, so these are the lists of the types.
const CODES: Record<DenialCode, true> = {
  'rejected-by-policy': true,
  'no-requirements': true,
  'policy-invalid': true,
  'policy-missing': true,
  'identity-type-unsupported': true,
  'key-source-invalid': true,
  'key-missing': true,
  'key-invalid': true,
  unsigned: true,
  'bundle-only': true,
  'signature-image-invalid': true,
  'other-image': true,
  'wrong-key': true,
  'payload-changed': true,
  'identity-mismatch': true,
  'annotation-mismatch': true,
  'not-logged': true,
  expired: true,
  'too-few-signers': true,
  'image-missing': true,
  'image-invalid': true,
  'platform-missing': true,
  'layer-invalid': true,
  'registry-plain-http': true,
  'registry-untrusted': true,
  'registry-refused': true,
  'guest-config-invalid': true,
}
const STEPS: Record<StepName, true> = {
  initdata: true,
  config: true,
  attest: true,
  policy: true,
  manifest: true,
  scope: true,
  requirement: true,
  key: true,
  signatures: true,
  signature: true,
  identity: true,
  layer: true,
  decision: true,
}
const STEP_OUTCOMES: Record<TraceStep['outcome'], true> = {
  ok: true,
  failed: true,
  skipped: true,
  warning: true,
}
const KINDS: Record<SignatureKind, true> = { cosign: true, bundle: true, simple: true }
const FAULTS: Record<SignatureFault, true> = {
  unreadable: true,
  'no-signature': true,
  'wrong-key': true,
  'payload-changed': true,
  unsupported: true,
  'other-image': true,
  'not-a-signature': true,
  'annotation-mismatch': true,
  'not-logged': true,
  'log-entry-invalid': true,
  expired: true,
}
const TIME_SOURCES: Record<SignatureTime['source'], true> = {
  log: true,
  signature: true,
  payload: true,
}
const PROFILE_NAMES: Record<ProfileName, true> = { guest: true, cosign: true }

const SCHEMA_FILE = new URL('../../schemas/verdict-v1.schema.json', import.meta.url)

interface Schema {
  readonly properties: { readonly profile: { readonly enum: readonly string[] } }
  readonly $defs: {
    readonly cause: { readonly properties: { readonly code: { readonly enum: readonly string[] } } }
    readonly step: {
      readonly properties: Readonly<Record<'step' | 'outcome', { readonly enum: readonly string[] }>>
    }
    readonly signature: {
      readonly properties: {
        readonly kind: { readonly enum: readonly string[] }
        readonly fault: { readonly properties: { readonly code: { readonly enum: readonly string[] } } }
        readonly time: { readonly properties: { readonly source: { readonly enum: readonly string[] } } }
      }
    }
  }
}

const DIGEST = `sha256:${'0'.repeat(64)}`
const ALLOWED = {
  apiVersion: 'cosignet/v1',
  kind: 'Verdict',
  profile: 'guest',
  image: { reference: 'registry.example/app:v1', manifestDigest: DIGEST },
  outcome: 'allowed',
  trace: [{ step: 'decision', outcome: 'ok', message: 'The image is allowed.', facts: { a: 1, b: 'x' } }],
}
const DENIED = {
  ...ALLOWED,
  outcome: 'denied',
  cause: { code: 'unsigned', message: 'It has no signature.', fix: 'Sign it.' },
  verifierText: 'Denied',
}
const COUNTED = {
  kind: 'simple',
  location: 'dir:/images/app',
  digest: DIGEST as Digest,
  signer: { fingerprint: 'A'.repeat(40), name: 'key.gpg', userIds: ['Ann <ann@example.com>'] },
  time: { at: '2026-11-23T00:10:00Z', source: 'signature', claimed: false },
  claims: {
    reference: 'registry.example/app:v1',
    digest: DIGEST,
    annotations: { a: 'b' },
    creator: 'x',
    key: 'y',
  },
  counts: true,
} as const satisfies SeenSignature
const UNCOUNTED = {
  kind: 'bundle',
  location: 'registry.example/app@sha256:0',
  claims: {},
  counts: false,
  fault: { code: 'wrong-key', message: 'None of the keys made it.' },
} as const satisfies SeenSignature
const withSignature = (signature: object) => ({ ...ALLOWED, profile: 'cosign', signatures: [signature] })

describe('the schema of verdicts', () => {
  it('lists the names that the code knows', () => {
    const schema = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as Schema
    const { cause, step, signature } = schema.$defs
    const { kind, fault, time } = signature.properties
    expect([...kind.enum].sort()).toEqual(Object.keys(KINDS).sort())
    expect([...fault.properties.code.enum].sort()).toEqual(Object.keys(FAULTS).sort())
    expect([...time.properties.source.enum].sort()).toEqual(Object.keys(TIME_SOURCES).sort())
    expect([...cause.properties.code.enum].sort()).toEqual(Object.keys(CODES).sort())
    expect([...step.properties.step.enum].sort()).toEqual(Object.keys(STEPS).sort())
    expect([...step.properties.outcome.enum].sort()).toEqual(Object.keys(STEP_OUTCOMES).sort())
    expect([...schema.properties.profile.enum].sort()).toEqual(Object.keys(PROFILE_NAMES).sort())
    expect(Object.keys(PROFILES).sort()).toEqual(Object.keys(PROFILE_NAMES).sort())
  })

  it('accepts a verdict of either kind, and one of an image whose manifest was not read', () => {
    expect(schemaProblems(ALLOWED)).toBe('')
    expect(schemaProblems(DENIED)).toBe('')
    expect(schemaProblems(withSignature(COUNTED))).toBe('')
    expect(schemaProblems(withSignature(UNCOUNTED))).toBe('')
    expect(schemaProblems({ ...DENIED, image: { reference: 'registry.example/app:v1' } })).toBe('')
  })

  it.each<[string, object]>([
    ['nothing', {}],
    ['another version', { ...ALLOWED, apiVersion: 'cosignet/v2' }],
    ['another kind', { ...ALLOWED, kind: 'Judgement' }],
    ['an unknown outcome', { ...ALLOWED, outcome: 'maybe' }],
    ['an unknown profile', { ...ALLOWED, profile: 'docker' }],
    ['an unknown member', { ...ALLOWED, extra: true }],
    ['an unknown member of the image', { ...ALLOWED, image: { ...ALLOWED.image, tag: 'v1' } }],
    ['an unknown member of a step', { ...ALLOWED, trace: [{ ...ALLOWED.trace[0], time: 1 }] }],
    ['an unknown member of the cause', { ...DENIED, cause: { ...DENIED.cause, hint: 'x' } }],
    ['an unknown code', { ...DENIED, cause: { ...DENIED.cause, code: 'bad-luck' } }],
    ['an unknown step', { ...ALLOWED, trace: [{ ...ALLOWED.trace[0], step: 'guess' }] }],
    ['an object among the facts', { ...ALLOWED, trace: [{ ...ALLOWED.trace[0], facts: { a: {} } }] }],
    ['no trace', { ...ALLOWED, trace: [] }],
    ['a denial without its cause', { ...DENIED, cause: undefined }],
    ['a denial without the text of the verifier', { ...DENIED, verifierText: undefined }],
    ['a denial without a fix', { ...DENIED, cause: { ...DENIED.cause, fix: '' } }],
    ['a permission with a cause', { ...DENIED, outcome: 'allowed' }],
    [
      'a digest in capitals',
      { ...ALLOWED, image: { reference: 'x', manifestDigest: `sha256:${'A'.repeat(64)}` } },
    ],
    ['a signature that counts and has a fault', withSignature({ ...COUNTED, fault: UNCOUNTED.fault })],
    ['a signature that counts and has no signer', withSignature({ ...COUNTED, signer: undefined })],
    ['a signature that does not count, for no reason', withSignature({ ...UNCOUNTED, fault: undefined })],
    ['an unknown fault', withSignature({ ...UNCOUNTED, fault: { code: 'odd', message: 'x' } })],
    ['an unknown kind', withSignature({ ...UNCOUNTED, kind: 'notation' })],
    ['a time of day in words', withSignature({ ...COUNTED, time: { ...COUNTED.time, at: 'noon' } })],
    ['a short digest', { ...ALLOWED, image: { reference: 'x', manifestDigest: 'sha256:00' } }],
  ])('refuses %s', (_, document) => {
    expect(schemaProblems(document)).not.toBe('')
  })
})
