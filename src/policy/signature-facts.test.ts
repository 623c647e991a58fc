import { beforeAll, describe, expect, it } from 'vitest'
import {
  addImage,
  addIndex,
  attach,
  base64,
  makeKey,
  REPOSITORY,
  signed,
} from '../../test/fixtures/judged-image.ts'
import { MemoryImageStore, type MemoryStoreFaults } from '../../test/fixtures/memory-image-store.ts'
import { bundleOf, makeOpenPgpKey, messageOf, refer, storeOf } from '../../test/fixtures/signature-kinds.ts'
import { CosignetError, encodeUtf8, LIMITS } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import { type Digest, digestOf, MEDIA_TYPES } from '../oci/index.ts'
import { encodePayload, encodeSignatureBlob, signatureTag } from '../signature/index.ts'
import type { SignatureFact, TrustedKey } from './index.ts'
import { type ReadFactsOptions, readSignatureFacts } from './signature-facts.ts'

const [A, B] = [makeKey(), makeKey()]
const OTHER = digestOf(encodeUtf8('another image'))

let first: Awaited<ReturnType<typeof makeOpenPgpKey>>
let second: Awaited<ReturnType<typeof makeOpenPgpKey>>
let store: MemoryImageStore
let digest: Digest

beforeAll(async () => {
  first = await makeOpenPgpKey('First <first@example.com>')
  second = await makeOpenPgpKey('Second <second@example.com>')
})

async function newImage(faults: MemoryStoreFaults = {}): Promise<void> {
  store = new MemoryImageStore(faults)
  digest = await addImage(store)
}

function trust(key: SigningKey, name: string): TrustedKey {
  return { kind: 'cosign', key: key.publicKey, name }
}

function trustOpenPgp(...keys: readonly { readonly key: typeof first.key }[]): TrustedKey {
  return { kind: 'openpgp', keys: keys.map(({ key }) => key), name: 'release.asc' }
}

async function facts(options: Partial<ReadFactsOptions> = {}): Promise<readonly SignatureFact[]> {
  return await readSignatureFacts({
    source: store,
    digest,
    repository: REPOSITORY,
    now: new Date(),
    ...options,
  })
}

describe('readSignatureFacts', () => {
  it('tells of each kind where it is and what it says, and asks for no key without one', async () => {
    await newImage()
    await attach(store, digest, [signed(A, digest)])
    const referrer = await refer(store, digest, bundleOf(A, digest))
    const { store: files } = storeOf([await messageOf(first.signer, digest)])
    const hint = Buffer.from(A.publicKey.fingerprint, 'hex').toString('base64')
    expect(await facts({ store: files })).toEqual([
      {
        kind: 'cosign',
        of: digest,
        location: signatureTag(digest),
        claims: REPOSITORY,
        namesRepository: true,
      },
      { kind: 'bundle', of: digest, location: referrer, claims: `key hint ${hint}` },
      { kind: 'simple', of: digest, location: 'lookaside' },
    ])
  })

  it('is empty for an image without any', async () => {
    await newImage()
    expect(await facts()).toEqual([])
  })

  it('tells which key made each', async () => {
    await newImage()
    await attach(store, digest, [signed(A, digest), signed(makeKey(), digest)])
    await refer(store, digest, bundleOf(B, digest))
    await refer(store, digest, bundleOf(makeKey(), digest))
    const messages = [await messageOf(first.signer, digest), await messageOf(second.signer, digest)]
    const keys = [trust(B, 'b.pub'), trust(A, 'a.pub'), trustOpenPgp(first)]
    const found = await facts({ keys, store: storeOf(messages).store })
    expect(found.map(({ madeBy }) => madeBy)).toEqual([
      { algorithm: 'ecdsa-p256', hashes: ['key', 'sha256'], name: 'a.pub' },
      'none',
      { algorithm: 'ecdsa-p256', hashes: ['sha256'], name: 'b.pub' },
      'none',
      { algorithm: 'openpgp', hashes: [], name: 'release.asc' },
      'none',
    ])
    // Of a key that is not known, what the signature names.
    expect(found.at(-1)?.claims).toBe(`key ${second.key.fingerprint}`)
  })

  // What `openssl dgst -sha256` and `-sha384` sign with such keys; the guest takes the one, cosign the other.
  it.each([
    ['p384', 'sha256', ['sha256']],
    ['p384', 'sha384', ['key']],
    ['p521', 'sha256', ['sha256']],
    ['p521', 'sha512', undefined],
    ['rsa', 'sha256', ['key', 'sha256']],
    ['rsa', 'sha512', undefined],
    ['ed25519', null, ['key', 'sha256']],
  ] as const)('knows by which hash a %s key signed: %s', async (kind, hash, hashes) => {
    await newImage()
    const key = makeKey(kind, hash)
    await attach(store, digest, [signed(key, digest)])
    const [fact] = await facts({ keys: [trust(key, 'k.pub')] })
    expect(fact?.madeBy).toEqual(
      hashes === undefined ? 'none' : { algorithm: key.publicKey.algorithm, hashes, name: 'k.pub' },
    )
  })

  it.each([
    ['the repository', REPOSITORY, true],
    ['the repository with a tag', `${REPOSITORY}:v9`, true],
    ['another repository', 'registry.example/team/other', false],
    ['a repository that the name begins with', `${REPOSITORY}/more`, false],
    ['nothing', '', false],
    ['no reference', 'A B', false],
  ])('knows whether it names the repository: %s', async (_what, claimed, expected) => {
    await newImage()
    await attach(store, digest, [signed(A, digest, claimed)])
    expect(await facts()).toMatchObject([{ claims: claimed, namesRepository: expected }])
    const outside = await readSignatureFacts({ source: store, digest, now: new Date() })
    expect(outside[0]).not.toHaveProperty('namesRepository')
  })

  it('takes an attestation in a bundle for what cosign 3 takes it for', async () => {
    await newImage()
    await refer(store, digest, bundleOf(A, digest, { predicateType: 'https://slsa.dev/provenance/v1' }))
    await refer(store, digest, bundleOf(A, OTHER))
    const found = await facts({ keys: [trust(A, 'a.pub')] })
    expect(found.map(({ madeBy }) => madeBy)).toEqual([
      { algorithm: 'ecdsa-p256', hashes: ['sha256'], name: 'a.pub' },
      'none',
    ])
  })

  it('leaves to the layers what dir: keeps of cosign in files', async () => {
    await newImage()
    const { payload, signature = '' } = signed(A, digest)
    const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'
    const annotations = { 'dev.cosignproject.cosign/signature': signature }
    const file = encodeSignatureBlob({ kind: 'sigstore', mediaType, payload, annotations })
    expect(await facts({ store: storeOf([file]).store })).toEqual([])
  })
})

describe('a fault of one signature', () => {
  it('is that of cosign alone where its payload is missing, and the others are there', async () => {
    await newImage()
    const lost = { payload: encodeUtf8('lost'), signature: 'AAAA' }
    await attach(store, digest, [lost, signed(A, digest)])
    store.blobs.delete(digestOf(lost.payload))
    const [missing, good] = await facts({ keys: [trust(A, 'a.pub')] })
    expect(missing).toMatchObject({ fault: `There is no blob ${digestOf(lost.payload)}`, lost: true })
    expect(good).toMatchObject({ madeBy: { name: 'a.pub' } })
    expect(good).not.toHaveProperty('fault')
  })

  it.each<[string, Uint8Array, string]>([
    [
      'no JSON',
      encodeUtf8('hello'),
      'The signed payload is not valid: it is not JSON: line 1, column 1: a value expected',
    ],
    [
      'the empty payload',
      new Uint8Array(),
      'The signed payload is not valid: it is not JSON: line 1, column 1: a value expected',
    ],
    [
      'another image',
      encodePayload({ dockerReference: REPOSITORY, manifestDigest: OTHER }),
      `it is of "${OTHER}"`,
    ],
    [
      'the digest in capitals',
      encodeUtf8(
        '{"critical":{"identity":{"docker-reference":"a"},"image":{"docker-manifest-digest":"SHA256:AB"},"type":""}}',
      ),
      'it is of "SHA256:AB"',
    ],
    [
      'a digest given twice',
      encodeUtf8(
        '{"critical":{"identity":{"docker-reference":"a"},"image":{"docker-manifest-digest":"a","docker-manifest-digest":"b"},"type":""}}',
      ),
      'The signed payload is not valid: critical.image has "docker-manifest-digest" twice',
    ],
  ])('is said though the key made it: %s', async (_what, payload, fault) => {
    await newImage()
    await attach(store, digest, [{ payload, signature: base64(A.sign(payload)) }])
    const [fact] = await facts({ keys: [trust(A, 'a.pub')] })
    expect(fact).toMatchObject({ kind: 'cosign', fault })
    expect(fact).not.toHaveProperty('madeBy')
    expect(fact).not.toHaveProperty('lost')
  })

  it('is what is no JSON at the tag of the signatures', async () => {
    await newImage()
    store.manifests.set(OTHER, { bytes: encodeUtf8('x'), digest: OTHER, mediaType: MEDIA_TYPES.ociManifest })
    store.tags.set(signatureTag(digest), OTHER)
    expect(await facts()).toMatchObject([
      { kind: 'cosign', location: signatureTag(digest), fault: expect.any(String), lost: true },
    ])
  })

  it('is an index at the tag of the signatures', async () => {
    await newImage()
    store.tags.set(signatureTag(digest), await addIndex(store, digest))
    await refer(store, digest, bundleOf(A, digest))
    expect(await facts()).toMatchObject([
      {
        kind: 'cosign',
        fault: `The signature tag in ${REPOSITORY} holds an index, not an image`,
        lost: true,
      },
      { kind: 'bundle' },
    ])
  })

  it('is a layer of another kind, whatever it says', async () => {
    await newImage()
    const foreign = { ...signed(A, digest), mediaType: 'application/vnd.dsse.envelope.v1+json' }
    await attach(store, digest, [foreign, signed(A, digest)])
    const found = await facts({ keys: [trust(A, 'a.pub')] })
    expect(found.map(({ foreignLayer }) => foreignLayer)).toEqual([true, undefined])
  })

  it('is a payload beyond the limit, of which nothing is fetched', async () => {
    await newImage()
    const payload = new Uint8Array(LIMITS.payloadBytes + 1)
    await attach(store, digest, [{ payload, signature: 'AAAA' }, signed(A, digest)])
    const found = await facts({ keys: [trust(A, 'a.pub')] })
    expect(found).toMatchObject([
      { fault: expect.stringContaining('exceeds the limit'), lost: true },
      { madeBy: {} },
    ])
    expect(store.calls).not.toContain(`getBlob ${digestOf(payload)}`)
  })

  it.each<[string, string, object]>([
    ['no JSON', 'hello', { fault: expect.stringContaining('is not JSON'), lost: true }],
    ['the empty file', '', { fault: expect.stringContaining('is not JSON'), lost: true }],
    [
      'another version',
      '{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1"}',
      { lost: true },
    ],
  ])('is a bundle that is %s', async (_what, bundle, expected) => {
    await newImage()
    const referrer = await refer(store, digest, bundle)
    await refer(store, digest, bundleOf(A, digest))
    const [bad, good] = await facts({ keys: [trust(A, 'a.pub')] })
    expect(bad).toMatchObject({ kind: 'bundle', location: referrer, ...expected })
    expect(good).toMatchObject({ madeBy: { name: 'a.pub' } })
  })

  it('is the signature of a file in a bundle, which cosign 3 can read all the same', async () => {
    await newImage()
    const { dsseEnvelope: _, ...bundle } = JSON.parse(bundleOf(A, digest)) as Record<string, unknown>
    const messageSignature = { messageDigest: { algorithm: 'SHA2_256', digest: 'AAAA' }, signature: 'AAAA' }
    await refer(store, digest, JSON.stringify({ ...bundle, messageSignature }))
    const [fact] = await facts()
    expect(fact).toMatchObject({ fault: 'it is the signature of a file, not of an image' })
    expect(fact).not.toHaveProperty('lost')
  })

  it.each<[string, () => Promise<Uint8Array>, object]>([
    ['of another image', () => messageOf(first.signer, OTHER), { fault: `it is of "${OTHER}"` }],
    [
      'under another name',
      () => messageOf(first.signer, digest, 'a.example/b:v1'),
      { namesRepository: false },
    ],
    [
      'over something else',
      () => first.signer.sign(encodeUtf8('{}')),
      { fault: expect.stringContaining('no "critical"') },
    ],
    [
      'that is cut short',
      async () => (await messageOf(first.signer, digest)).subarray(0, 40),
      { fault: expect.stringContaining('not a valid OpenPGP message') },
    ],
    [
      'that is empty',
      async () => new Uint8Array(),
      { fault: 'it is neither an OpenPGP nor a sigstore signature' },
    ],
    [
      'that is armored',
      async () => encodeUtf8('-----BEGIN PGP MESSAGE-----\n'),
      { fault: 'it is neither an OpenPGP nor a sigstore signature' },
    ],
  ])('is an OpenPGP message %s', async (_what, make, expected) => {
    await newImage()
    const { store: files } = storeOf([await make(), await messageOf(first.signer, digest)])
    const [bad, good] = await facts({ keys: [trustOpenPgp(first)], store: files })
    expect(bad).toMatchObject({ kind: 'simple', ...expected })
    expect(good).toMatchObject({ madeBy: { name: 'release.asc' } })
  })

  it('is a signature image with more signatures than are read (CVE-2023-46737)', async () => {
    await newImage()
    await attach(
      store,
      digest,
      Array.from({ length: LIMITS.signatures + 1 }, () => signed(A, digest)),
    )
    expect(await facts()).toMatchObject([{ fault: expect.stringContaining('more than 1000'), lost: true }])
  })
})

describe('a place that cannot be reached', () => {
  const CODES = ['UNAVAILABLE', 'TIMEOUT', 'UNAUTHORIZED', 'FORBIDDEN', 'ABORTED', 'BAD_RESPONSE'] as const

  it.each(CODES)('is thrown from the signature tag: %s', async (code) => {
    await newImage({
      beforeGetManifest: (name) => {
        if (name.endsWith('.sig')) throw new CosignetError(code, 'The registry is down.')
      },
    })
    await expect(facts()).rejects.toMatchObject({ code })
  })

  it.each(CODES)('is thrown from a payload and from a bundle: %s', async (code) => {
    const down: MemoryStoreFaults = {
      beforeGetBlob: () => {
        throw new CosignetError(code, 'The registry is down.')
      },
    }
    await newImage(down)
    await attach(store, digest, [signed(A, digest)])
    await expect(facts()).rejects.toMatchObject({ code })
    await newImage(down)
    await refer(store, digest, bundleOf(A, digest))
    await expect(facts()).rejects.toMatchObject({ code })
  })

  it.each(CODES)('is thrown from the signature store: %s', async (code) => {
    await newImage()
    const { store: files } = storeOf([])
    const list = async (): Promise<never> => {
      throw new CosignetError(code, 'The store is down.')
    }
    await expect(facts({ store: { ...files, list } })).rejects.toMatchObject({ code })
  })
})
