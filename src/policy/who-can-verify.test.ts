import { describe, expect, it } from 'vitest'
import { digestOf } from '../oci/index.ts'
import { VERIFIERS } from './verifiers.ts'
import { type SignatureFact, type SignedImage, whoCanVerify } from './who-can-verify.ts'

const ROOT = digestOf(Buffer.from('root'))
const AMD64 = digestOf(Buffer.from('amd64'))
const ARM64 = digestOf(Buffer.from('arm64'))

const GUESTS = ['CoCo guest v0.18', 'CoCo guest v0.19', 'CoCo guest v0.20', 'CoCo guest v0.21']
const COSIGN_FAMILY = ['cosign v2', 'cosign v3', 'Kyverno (verifyImages)', 'policy-controller']
const PODMAN = 'podman, CRI-O, skopeo'

function image(signatures: readonly SignatureFact[], platforms: SignedImage['platforms'] = []): SignedImage {
  return { name: 'registry.example/team/app:v1', root: ROOT, platforms, signatures }
}

/** Who says yes. */
function willing(signed: SignedImage): readonly string[] {
  return whoCanVerify(signed).flatMap((answer) => (answer.can ? [answer.verifier] : []))
}

function reasonOf(verifier: string, signed: SignedImage): string | undefined {
  const answer = whoCanVerify(signed).find((one) => one.verifier === verifier)
  return answer?.can === false ? answer.reason : undefined
}

const cosign = (of = ROOT): SignatureFact => ({
  kind: 'cosign',
  of,
  location: 'sha256-0.sig',
  namesRepository: true,
})
const bundle = (of = ROOT): SignatureFact => ({ kind: 'bundle', of, location: ROOT })
const simple = (of = ROOT): SignatureFact => ({
  kind: 'simple',
  of,
  location: 'file:///store',
  namesRepository: true,
})

describe('VERIFIERS', () => {
  it('has a source for every rule', () => {
    const sources = VERIFIERS.flatMap(({ reads, ofIndex, keys, names, foreignLayers }) =>
      [...Object.values(reads), ofIndex, keys, names, foreignLayers].map(({ source }) => source),
    )
    expect(sources.every((source) => source.length > 0)).toBe(true)
    expect(sources).toHaveLength(VERIFIERS.length * 7)
  })
})

describe('whoCanVerify', () => {
  it.each([
    { what: 'nothing', signatures: [], expected: [] },
    {
      what: 'a signature of cosign',
      signatures: [cosign()],
      expected: [...GUESTS, PODMAN, ...COSIGN_FAMILY],
    },
    { what: 'a bundle', signatures: [bundle()], expected: ['cosign v3'] },
    { what: 'an OpenPGP signature', signatures: [simple()], expected: [PODMAN] },
    {
      what: 'both formats of cosign',
      signatures: [cosign(), bundle()],
      expected: [...GUESTS, PODMAN, ...COSIGN_FAMILY],
    },
  ])('of a single image with $what', ({ signatures, expected }) => {
    expect(willing(image(signatures))).toEqual(expected)
  })

  it('of an index: guests want the index signed, podman every platform, and v0.18 finds nothing', () => {
    const platforms = [AMD64, ARM64]
    expect(willing(image([cosign()], platforms))).toEqual([...GUESTS.slice(1), ...COSIGN_FAMILY])
    expect(willing(image([cosign(AMD64), cosign(ARM64)], platforms))).toEqual([PODMAN])
    expect(willing(image([cosign(AMD64)], platforms))).toEqual([])
    expect(reasonOf(PODMAN, image([cosign(), cosign(AMD64)], platforms))).toBe(
      `of the platform ${ARM64}, there is no signature`,
    )
    expect(willing(image([cosign(), cosign(AMD64), cosign(ARM64)], platforms))).toEqual([
      ...GUESTS.slice(1),
      PODMAN,
      ...COSIGN_FAMILY,
    ])
  })

  it('lets a bundle of another key hide the signature from cosign 3, and from nobody else', () => {
    const signed = image([
      { ...cosign(), madeBy: { algorithm: 'ecdsa-p256', hashes: ['key', 'sha256'], name: 'cosign.pub' } },
      { ...bundle(), madeBy: 'none' },
    ])
    expect(willing(signed)).toEqual([
      ...GUESTS,
      PODMAN,
      ...COSIGN_FAMILY.filter((name) => name !== 'cosign v3'),
    ])
    expect(reasonOf('cosign v3', signed)).toBe(
      'it looks at the bundles alone where there are any, and the key that was given did not make the signature',
    )
  })

  it('knows which keys and hashes a verifier takes', () => {
    const by = (algorithm: 'ecdsa-p384' | 'rsa' | 'ecdsa-p521', hashes: readonly ('key' | 'sha256')[]) =>
      willing(image([{ ...cosign(), madeBy: { algorithm, hashes, name: 'cosign.pub' } }]))
    expect(by('rsa', ['key', 'sha256'])).toEqual([...GUESTS.slice(1), PODMAN, ...COSIGN_FAMILY])
    expect(by('ecdsa-p384', ['sha256'])).toEqual([PODMAN, ...COSIGN_FAMILY])
    expect(by('ecdsa-p384', ['key'])).toEqual(GUESTS.slice(1))
    expect(by('ecdsa-p521', ['sha256'])).toEqual([PODMAN, ...COSIGN_FAMILY])
  })

  it('lets a signature under another name spoil it for guests, whoever made it', () => {
    const other: SignatureFact = { ...cosign(), namesRepository: false }
    expect(willing(image([cosign(), other]))).toEqual([PODMAN, ...COSIGN_FAMILY])
    expect(willing(image([other]))).toEqual(COSIGN_FAMILY)
  })

  it('lets a layer of another kind spoil it for guests alone', () => {
    const foreign: SignatureFact = { ...cosign(), foreignLayer: true }
    expect(willing(image([cosign(), foreign]))).toEqual([PODMAN, ...COSIGN_FAMILY])
  })

  it('says what must be set where a signature is not read by default', () => {
    const answers = whoCanVerify(image([cosign()])).filter((answer) => answer.can)
    expect(answers.filter(({ needs }) => needs !== undefined)).toEqual([
      {
        verifier: PODMAN,
        can: true,
        kinds: ['cosign'],
        needs: 'use-sigstore-attachments: true in registries.d',
      },
    ])
    expect(whoCanVerify(image([simple()])).find(({ verifier }) => verifier === PODMAN)).not.toHaveProperty(
      'needs',
    )
  })

  it('says what stands in the way, and the command that takes it away', () => {
    const [guest] = whoCanVerify(image([bundle()]))
    expect(guest).toEqual({
      verifier: 'CoCo guest v0.18',
      can: false,
      reason: 'it does not read the bundles of cosign 3',
      fix: 'cosignet sign --format cosign --key cosign.key registry.example/team/app:v1',
    })
  })
})
