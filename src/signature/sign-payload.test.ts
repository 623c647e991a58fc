import { describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { encodeUtf8 } from '../core/index.ts'
import { generateKeyPair, verifySignature } from '../keys/index.ts'
import { type Digest, digestOf, MEDIA_TYPES, parseManifest, parseReference } from '../oci/index.ts'
import { addToSignatureImage, cosignSigner, type SignatureBlob, signDigest } from './index.ts'

const DIGEST = digestOf(encodeUtf8('an image'))
const KEY = await generateKeyPair()
const OTHER = await generateKeyPair()

/** Cosign writes what it is told to, and a reference without its tag and digest (cosign 3.1.1, sign --sign-container-identity). */
describe('the name in a payload of cosign', () => {
  it.each([
    [parseReference('registry.example/team/app:v1'), 'registry.example/team/app'],
    [parseReference('busybox'), 'index.docker.io/library/busybox'],
    ['registry.example/team/app:v1', 'registry.example/team/app:v1'],
  ])('of %j is %s', async (reference, name) => {
    const store = new MemoryImageStore()
    const { signature } = await signDigest({
      store,
      reference,
      digest: DIGEST,
      key: KEY,
      pause: async () => {},
    })
    expect(JSON.parse(Buffer.from(signature.payload).toString()).critical.identity).toEqual({
      'docker-reference': name,
    })
  })
})

describe('cosignSigner', () => {
  const signer = cosignSigner(KEY, { reference: 'registry.example/app' })

  it('makes what cosign keeps as a layer', async () => {
    const made = await signer.sign(DIGEST)
    if (made.kind !== 'sigstore') throw new Error('It is another kind.')
    expect(made.mediaType).toBe('application/vnd.dev.cosign.simplesigning.v1+json')
    expect(Object.keys(made.annotations)).toEqual(['dev.cosignproject.cosign/signature'])
    const signature = Buffer.from(Object.values(made.annotations)[0] ?? '', 'base64')
    expect(verifySignature(KEY.publicKey, made.payload, signature)).toBe(true)
  })

  it('knows its own signature again, and no other', async () => {
    const blob = await signer.sign(DIGEST)
    if (blob.kind !== 'sigstore') throw new Error('It is another kind.')
    expect(await signer.isOwn(blob, DIGEST)).toBe(true)
    const forged = { 'dev.cosignproject.cosign/signature': 'AAAA' }
    const others: readonly [string, SignatureBlob, Digest?][] = [
      ['of another key', await cosignSigner(OTHER, { reference: 'registry.example/app' }).sign(DIGEST)],
      ['of another name', await cosignSigner(KEY, { reference: 'registry.example/b' }).sign(DIGEST)],
      [
        'with annotations',
        await cosignSigner(KEY, { reference: 'registry.example/app', annotations: { a: 'b' } }).sign(DIGEST),
      ],
      ['of another image', blob, digestOf(encodeUtf8('another'))],
      ['of another media type', { ...blob, mediaType: 'text/plain' }],
      ['forged', { ...blob, annotations: forged }],
      ['without a signature', { ...blob, annotations: {} }],
      ['OpenPGP', { kind: 'openpgp', bytes: Buffer.of(0xa3) }],
    ]
    for (const [what, other, digest = DIGEST] of others) {
      expect({ what, isOwn: await signer.isOwn(other, digest) }).toEqual({ what, isOwn: false })
    }
  })
})

describe('addToSignatureImage', () => {
  it('keeps the layers that are there and adds the blobs that are new', async () => {
    const make = async (reference: string) => {
      const made = await cosignSigner(KEY, { reference }).sign(DIGEST)
      if (made.kind !== 'sigstore') throw new Error('It is another kind.')
      return made
    }
    const first = addToSignatureImage(undefined, [await make('registry.example/a')])
    const second = addToSignatureImage(first.manifest, [await make('registry.example/b')])
    const { content } = second.manifest
    if (content.kind !== 'image') throw new Error('It is an index.')
    const [kept, added] = content.layers
    expect([kept]).toEqual(first.manifest.content.kind === 'image' ? first.manifest.content.layers : [])
    expect([...second.blobs.keys()].sort()).toEqual([content.config.digest, added?.digest].sort())
  })

  it('refuses an index', () => {
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }
    const manifest = parseManifest(encodeUtf8(JSON.stringify(index)), undefined, 'The index')
    expect(() => addToSignatureImage(manifest, [])).toThrow(
      expect.objectContaining({ code: 'INVALID_SIGNATURE' }),
    )
  })
})
