import { describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { collectBytes, encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, type ImageSource } from '../oci/index.ts'
import { decodeSignatureBlob, encodeSignatureBlob, readAttachments } from '../signature/index.ts'
import { putAttached } from './put-attached.ts'
import { withSignatureTags } from './signature-tags.ts'

const IMAGE = digestOf(encodeUtf8('image'))
const PAYLOAD = encodeUtf8('{"critical":{}}')
const SIGNATURE = { 'dev.cosignproject.cosign/signature': 'c2ln' }
const SIGSTORE = encodeSignatureBlob({
  kind: 'sigstore',
  mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
  payload: PAYLOAD,
  annotations: SIGNATURE,
})
const OPENPGP = Buffer.from([0xa3, 1, 2])

describe('withSignatureTags', () => {
  it("shows signature files at cosign's tag", async () => {
    const source = withSignatureTags(storeWithFiles([OPENPGP, SIGSTORE]))
    const attachments = await readAttachments(source, IMAGE)
    expect(attachments?.attachments).toEqual([
      expect.objectContaining({ payload: Buffer.from(PAYLOAD), signature: 'c2ln' }),
    ])
    const { content } = attachments?.manifest ?? {}
    if (content?.kind !== 'image') throw new Error('There is no signature image.')
    const config = await collectBytes(source.getBlob(content.config), 1000, 'The configuration')
    expect(digestOf(config)).toBe(content.config.digest)
  })

  it('keeps OpenPGP signatures apart', async () => {
    const source = withSignatureTags(storeWithFiles([OPENPGP, SIGSTORE]))
    expect(await source.listOpenPgp(IMAGE)).toEqual([OPENPGP])
  })

  it('reads a tag that is there, and finds none where there is no file', async () => {
    const source = withSignatureTags(storeWithFiles([]))
    expect(await readAttachments(source, IMAGE)).toBeUndefined()
    expect(await source.listOpenPgp(IMAGE)).toEqual([])
  })

  it('says which file it cannot read', async () => {
    const source = withSignatureTags(storeWithFiles([SIGSTORE, Buffer.from('x')]))
    await expect(readAttachments(source, IMAGE)).rejects.toMatchObject({
      code: 'INVALID_SIGNATURE',
      message: expect.stringContaining('The signature 2 of sha256:'),
    })
  })
})

describe('putAttached', () => {
  it("writes cosign's signatures into files where the destination keeps them so", async () => {
    const source = withSignatureTags(storeWithFiles([SIGSTORE]))
    const manifest = await source.getManifest(`${IMAGE.replace(':', '-')}.sig`)
    const destination = new MemoryImageStore()
    const files = new Map<Digest, readonly Uint8Array[]>()
    const target = Object.assign(destination, {
      putSignatures: async (digest: Digest, blobs: readonly Uint8Array[]) => {
        files.set(digest, blobs)
      },
    })
    const attached = [
      { subject: IMAGE, tag: `${IMAGE.replace(':', '-')}.sig`, manifest, manifests: [manifest] },
    ]
    const openPgp = new Map([[IMAGE, [OPENPGP]]])
    await putAttached(source, { destination: target }, { attached, openPgp }, () => undefined, undefined)
    expect(destination.manifests.size).toBe(0)
    expect([...files.keys()]).toEqual([IMAGE])
    expect(files.get(IMAGE)?.[0]).toEqual(OPENPGP)
    expect(decodeSignatureBlob(files.get(IMAGE)?.[1] ?? OPENPGP, 'It')).toMatchObject({
      annotations: SIGNATURE,
    })
  })
})

function storeWithFiles(files: readonly Uint8Array[]): ImageSource {
  return Object.assign(new MemoryImageStore(), {
    listSignatures: async (digest: Digest) => (digest === IMAGE ? files : []),
  })
}
