import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { generateOpenPgpKey, type OpenPgpSigner, openOpenPgpSigner } from '../keys/index.ts'
import { type Digest, digestOf } from '../oci/index.ts'
import { type SignatureStore, signIntoStore, simpleSigner, verifyOpenPgpMessage } from './index.ts'

const DIGEST = digestOf(encodeUtf8('an image'))
const NOW = new Date('2026-11-23T00:00:00.5Z')
const SIGNER = await makeSigner()
const CLAIM = { dockerReference: 'registry.example/app:v1', creator: 'cosignet 0.0.0', clock: () => NOW }

describe('simpleSigner', () => {
  it('signs the payload of containers/image', async () => {
    const made = await simpleSigner(SIGNER, CLAIM).sign(DIGEST)
    const bytes = made.kind === 'openpgp' ? made.bytes : new Uint8Array()
    const verified = verifyOpenPgpMessage(bytes, [SIGNER.key], 'gpg', new Date())
    expect('failure' in verified ? verified : String(Buffer.from(verified.payload))).toBe(
      `{"critical":{"identity":{"docker-reference":"registry.example/app:v1"},"image":{"docker-manifest-digest":"${DIGEST}"},` +
        '"type":"atomic container signature"},"optional":{"creator":"cosignet 0.0.0","timestamp":1795392000}}',
    )
  })

  it('knows its own signature again, and no other', async () => {
    const signer = simpleSigner(SIGNER, CLAIM)
    const blob = await signer.sign(DIGEST)
    expect(await simpleSigner(SIGNER, { ...CLAIM, creator: 'another' }).isOwn(blob, DIGEST)).toBe(true)
    const others: readonly [string, Promise<boolean>][] = [
      ['of another key', simpleSigner(await makeSigner(), CLAIM).isOwn(blob, DIGEST)],
      ['of another image', signer.isOwn(blob, digestOf(encodeUtf8('another')))],
      [
        'of another name',
        simpleSigner(SIGNER, { ...CLAIM, dockerReference: 'registry.example/app:v2' }).isOwn(blob, DIGEST),
      ],
      ['no OpenPGP', signer.isOwn({ kind: 'openpgp', bytes: Buffer.of(0xa3, 1, 2) }, DIGEST)],
      [
        'of cosign',
        signer.isOwn(
          { kind: 'sigstore', mediaType: 'm', payload: new Uint8Array(), annotations: {} },
          DIGEST,
        ),
      ],
      ['no payload', signer.isOwn({ kind: 'openpgp', bytes: await SIGNER.sign(encodeUtf8('{}')) }, DIGEST)],
    ]
    for (const [what, isOwn] of others) expect({ what, isOwn: await isOwn }).toEqual({ what, isOwn: false })
  })
})

describe('signIntoStore', () => {
  it('adds one signature, however often it is asked', async () => {
    const { store, files } = memoryStore([encodeUtf8('garbage'), Buffer.of(0xa3)])
    const signer = simpleSigner(SIGNER, CLAIM)
    expect(await signIntoStore(store, signer, DIGEST)).toMatchObject({ alreadySigned: false })
    expect(await signIntoStore(store, signer, DIGEST)).toMatchObject({ alreadySigned: true })
    expect(files).toHaveLength(3)
  })

  it('adds nothing where the key fails', async () => {
    const { store, files } = memoryStore([])
    const failed = Promise.reject(new Error('The card was pulled.'))
    failed.catch(() => undefined)
    await expect(signIntoStore(store, simpleSigner(failed, CLAIM), DIGEST)).rejects.toThrow('card')
    expect(files).toEqual([])
  })
})

async function makeSigner(): Promise<OpenPgpSigner> {
  const password = new Uint8Array()
  const clock = (): Date => new Date('2026-11-22T00:00:00Z')
  const { secretKey } = await generateOpenPgpKey({
    userId: 'me@example.com',
    password,
    algorithm: 'ed25519',
    clock,
  })
  return await openOpenPgpSigner(encodeUtf8(secretKey), password, 'The key')
}

function memoryStore(start: readonly Uint8Array[]): { store: SignatureStore; files: Uint8Array[] } {
  const files = [...start]
  const store: SignatureStore = {
    name: 'memory',
    list: async (digest: Digest) => (digest === DIGEST ? files : []),
    checkWritable: async () => 'a store',
    add: async (_digest, signatures) => void files.push(...signatures),
  }
  return { store, files }
}
