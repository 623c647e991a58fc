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
  const repository = 'registry.example/team/app'
  return { name: `${repository}:v1`, repository, root: ROOT, platforms, signatures }
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
    const sources = VERIFIERS.flatMap(
      ({ reads, ofIndex, keys, names, elsewhere, foreignLayers, lostPayloads }) =>
        [...Object.values(reads), ofIndex, keys, names, elsewhere, foreignLayers, lostPayloads].map(
          ({ source }) => source,
        ),
    )
    expect(sources.every((source) => source.length > 0)).toBe(true)
    expect(sources).toHaveLength(VERIFIERS.length * 9)
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

  it('takes a lost payload for the end of all signatures beside it where the verifier does', () => {
    const lost: SignatureFact = { ...cosign(), fault: 'There is no blob', lost: true }
    expect(willing(image([cosign(), lost]))).toEqual(COSIGN_FAMILY)
    expect(willing(image([lost]))).toEqual([])
    // What podman reads elsewhere it still takes.
    expect(willing(image([cosign(), lost, simple()]))).toEqual([PODMAN, ...COSIGN_FAMILY])
    expect(reasonOf(PODMAN, image([cosign(), lost]))).toBe(
      "it refuses all of cosign's signatures where one cannot be had: There is no blob",
    )
  })

  it('lets no bundle that cosign 3 cannot read hide anything', () => {
    const lost: SignatureFact = { ...bundle(), fault: 'It is not JSON', lost: true }
    expect(willing(image([cosign(), lost]))).toEqual([...GUESTS, PODMAN, ...COSIGN_FAMILY])
    expect(willing(image([lost]))).toEqual([])
    const blob: SignatureFact = { ...bundle(), fault: 'it is the signature of a file, not of an image' }
    expect(willing(image([cosign(), blob]))).toEqual([
      ...GUESTS,
      PODMAN,
      ...COSIGN_FAMILY.filter((name) => name !== 'cosign v3'),
    ])
  })

  const tag = 'registry.example/team/app:sha256-0.sig'
  const sign = 'cosignet sign --format cosign --key cosign.key registry.example/team/app:v1'
  it.each<[string, readonly SignatureFact[], string, string]>([
    ['a bundle alone', [bundle()], 'CoCo guest v0.21', sign],
    ['nothing', [], 'cosign v3', sign.replace('--format cosign', '--format bundle')],
    [
      'a key that it cannot read',
      [{ ...cosign(), madeBy: { algorithm: 'ecdsa-p384', hashes: ['sha256'], name: 'k' } }],
      'CoCo guest v0.21',
      `cosignet key generate --output-key-prefix p256 && ${sign.replace('cosign.key', 'p256.key')}`,
    ],
    [
      'another name',
      [{ ...cosign(), namesRepository: false }],
      'CoCo guest v0.21',
      `cosignet image delete docker://${tag} && ${sign}`,
    ],
    ['another name', [{ ...cosign(), namesRepository: false }], PODMAN, sign],
    [
      'a foreign layer',
      [cosign(), { ...cosign(), foreignLayer: true }],
      'CoCo guest v0.21',
      `cosignet image delete docker://${tag} && ${sign}`,
    ],
    [
      'no image at the tag',
      [{ ...cosign(), fault: 'It is an index', lost: true }],
      'cosign v2',
      `cosignet image delete docker://${tag} && ${sign}`,
    ],
  ])('of %s, gives the commands that help', (_what, signatures, verifier, fix) => {
    const answer = whoCanVerify(image(signatures)).find((one) => one.verifier === verifier)
    expect(answer).toMatchObject({ can: false, fix })
  })

  it('of an image that is in no registry says to bring it there', () => {
    const [guest] = whoCanVerify({ name: 'oci:layout:v1', root: ROOT, platforms: [], signatures: [] })
    expect(guest).toMatchObject({
      fix: 'Copy it to a registry and sign it there: cosignet image copy --all oci:layout:v1 docker://REPOSITORY:TAG',
    })
  })

  it('of signatures in a repository of their own asks who can be told of it', () => {
    const signatureRepository = 'registry.example/signatures'
    const apart: SignatureFact = { ...cosign(), apart: signatureRepository }
    const there = { ...image([apart]), signatureRepository }
    expect(willing(there)).toEqual(COSIGN_FAMILY)
    const answers = whoCanVerify(there)
    expect(answers.find(({ verifier }) => verifier === 'cosign v3')).toMatchObject({
      needs: 'COSIGN_REPOSITORY registry.example/signatures',
    })
    expect(answers.find(({ verifier }) => verifier === 'CoCo guest v0.21')).toMatchObject({
      reason: 'it looks beside the image alone, and there is no signature',
      fix: 'cosignet sign --format cosign --key cosign.key --repository registry.example/team/app registry.example/team/app:v1',
    })
    // Who is told looks nowhere else.
    const beside = { ...image([cosign()]), signatureRepository }
    expect(willing(beside)).toEqual([...GUESTS, PODMAN])
    expect(reasonOf('cosign v2', beside)).toBe(
      'it looks in registry.example/signatures, and there is no signature',
    )
    expect(willing({ ...image([apart, cosign()]), signatureRepository })).toEqual([
      ...GUESTS,
      PODMAN,
      ...COSIGN_FAMILY,
    ])
  })
})
