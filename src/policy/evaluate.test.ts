import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addImage,
  addIndex,
  attach,
  base64,
  judge,
  judgeByKeys,
  makeKey,
  pemOf,
  REPOSITORY,
  type SignatureLayer,
  signed,
  TAGGED,
} from '../../test/fixtures/judged-image.ts'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import { type Digest, digestOf, parseReference } from '../oci/index.ts'
import { COSIGN, signatureTag, signDigest } from '../signature/index.ts'
import type { DenialCode, ResourceProvider, Verdict } from './index.ts'

const KEY = makeKey()
const OTHER_KEY = makeKey()
const SIGNED = { type: 'sigstoreSigned', keyData: pemOf(KEY) }
const SIGNED_REPOSITORY = { ...SIGNED, signedIdentity: { type: 'matchRepository' } }
const BUNDLE = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  size: 2,
}

/** `allowed`, or the code of the denial. */
function outcome(verdict: Verdict): 'allowed' | DenialCode {
  return verdict.outcome === 'allowed' ? 'allowed' : verdict.cause.code
}

async function withImage(): Promise<{ store: MemoryImageStore; manifestDigest: Digest }> {
  const store = new MemoryImageStore()
  return { store, manifestDigest: await addImage(store) }
}

/** The outcome for an image with these layers in its signature image. */
async function outcomeOf(
  layers: (digest: Digest) => readonly SignatureLayer[],
  options: { requirements?: readonly object[]; reference?: string } = {},
): Promise<'allowed' | DenialCode> {
  const { store, manifestDigest } = await withImage()
  await attach(store, manifestDigest, layers(manifestDigest))
  return outcome(await judge({ store, manifestDigest, requirements: [SIGNED], ...options }))
}

describe('evaluatePolicy', () => {
  it('allows what signDigest signed, and says each step', async () => {
    const { store, manifestDigest } = await withImage()
    const reference = parseReference(TAGGED)
    await signDigest({ store, reference, digest: manifestDigest, key: KEY, pause: async () => {} })
    const verdict = await judge({ store, manifestDigest, requirements: [SIGNED_REPOSITORY] })
    expect(verdict).toMatchObject({
      apiVersion: 'cosignet/v1',
      kind: 'Verdict',
      profile: 'guest',
      outcome: 'allowed',
      image: { reference: TAGGED, manifestDigest },
    })
    expect(verdict.trace.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'scope ok',
      'key ok',
      'signatures ok',
      'signature ok',
      'identity ok',
      'requirement ok',
      'decision ok',
    ])
    expect(verdict.trace[1]?.facts).toEqual({
      algorithm: 'ecdsa-p256',
      fingerprint: KEY.publicKey.fingerprint,
    })
  })

  it('denies a signature of another key', async () => {
    expect(await outcomeOf((digest) => [signed(OTHER_KEY, digest)])).toBe('wrong-key')
  })

  it('allows where one of several signatures is of the key', async () => {
    const layers = (digest: Digest) => [
      signed(OTHER_KEY, digest),
      signed(KEY, digest),
      signed(OTHER_KEY, digest),
    ]
    expect(await outcomeOf(layers)).toBe('allowed')
  })

  it('denies a signature that was copied from another image', async () => {
    const other = digestOf(encodeUtf8('another image'))
    expect(await outcomeOf(() => [signed(KEY, other)])).toBe('other-image')
  })

  it('denies an image without a signature', async () => {
    const { store, manifestDigest } = await withImage()
    const verdict = await judge({ store, manifestDigest, requirements: [SIGNED] })
    expect(outcome(verdict)).toBe('unsigned')
    expect(await outcomeOf(() => [])).toBe('unsigned')
  })

  it('denies an index of which only the platform is signed, and allows the platform by its digest', async () => {
    const { store, manifestDigest } = await withImage()
    const indexDigest = await addIndex(store, manifestDigest)
    await attach(store, manifestDigest, [signed(KEY, manifestDigest)])
    const requirements = [SIGNED]
    const byTag = await judge({ store, manifestDigest, indexDigest, requirements })
    expect(byTag).toMatchObject({
      outcome: 'denied',
      cause: {
        code: 'unsigned',
        message: expect.stringContaining('Only the manifest of one platform is signed'),
        fix: `cosignet sign --key cosign.key ${REPOSITORY}@${indexDigest}`,
      },
    })
    const reference = `${REPOSITORY}@${manifestDigest}`
    expect(outcome(await judge({ store, manifestDigest, reference, requirements }))).toBe('allowed')
  })

  it('allows an index that is signed, and does not take the index signature for the platform', async () => {
    const { store, manifestDigest } = await withImage()
    const indexDigest = await addIndex(store, manifestDigest)
    await attach(store, indexDigest, [signed(KEY, indexDigest)])
    const requirements = [SIGNED]
    expect(outcome(await judge({ store, manifestDigest, indexDigest, requirements }))).toBe('allowed')
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('unsigned')
    await attach(store, manifestDigest, [signed(KEY, indexDigest)])
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('other-image')
  })

  it('denies a layer without signature annotation, and one whose payload nobody can read', async () => {
    expect(await outcomeOf((d) => [{ ...signed(KEY, d), signature: undefined }])).toBe('wrong-key')
    const payload = encodeUtf8('not a payload')
    expect(await outcomeOf(() => [{ payload, signature: base64(KEY.sign(payload)) }])).toBe(
      'signature-image-invalid',
    )
  })

  it('ignores a payload that is named by another digest than SHA-256', async () => {
    expect(await outcomeOf((digest) => [{ ...signed(KEY, digest), algorithm: 'sha512' }])).not.toBe('allowed')
  })

  it.each([
    ['in 64 columns', (text: string) => text.replace(/.{64}/g, '$&\n')],
    ['with CR LF at the end', (text: string) => `${text}\r\n`],
    ['with every second character a newline', (text: string) => text.split('').join('\n')],
  ])('reads base64 %s', async (_, wrap) => {
    const layers = (digest: Digest) => {
      const layer = signed(KEY, digest)
      return [{ ...layer, signature: wrap(layer.signature ?? '') }]
    }
    expect(await outcomeOf(layers)).toBe('allowed')
  })

  it.each([
    ['a space', (text: string) => ` ${text}`],
    ['no padding', (text: string) => text.replace(/=+$/, '')],
    ['base64url', (text: string) => text.replaceAll('+', '-').replaceAll('/', '_').replace(/^/, '_')],
    ['nothing', () => ''],
  ])('denies a signature with %s', async (_, spoil) => {
    // 71 bytes of DER end in padding; other lengths may not.
    const layers = (digest: Digest) => {
      for (;;) {
        const layer = signed(KEY, digest)
        if (layer.signature?.endsWith('=') === true) return [{ ...layer, signature: spoil(layer.signature) }]
      }
    }
    expect(await outcomeOf(layers)).toBe('wrong-key')
  })

  it.each<[string, (text: string, digest: Digest) => string]>([
    [
      'a digit of the digest',
      (text, d) => text.replace(d, `${d.slice(0, -1)}${d.endsWith('0') ? '1' : '0'}`),
    ],
    ['white space at the end', (text) => `${text}\n`],
    ['white space within', (text) => text.replace('{', '{ ')],
    ['the reference', (text) => text.replace('team/app', 'team/bpp')],
    ['the type', (text) => text.replace('cosign container', 'Cosign container')],
    ['the annotations', (text) => text.replace('"optional":null', '"optional":{}')],
  ])('denies a payload in which %s was changed after signing', async (_, change) => {
    const layers = (digest: Digest) => {
      const layer = signed(KEY, digest)
      const changed = change(Buffer.from(layer.payload).toString(), digest)
      return [{ ...layer, payload: encodeUtf8(changed) }]
    }
    expect(await outcomeOf(layers)).toBe('payload-changed')
  })

  it('denies for an identity that does not match, and for one that no cosign signature can meet', async () => {
    const layers = (digest: Digest) => [signed(KEY, digest, 'registry.example/other/app')]
    expect(await outcomeOf(layers, { requirements: [SIGNED_REPOSITORY] })).toBe('identity-mismatch')
    expect(await outcomeOf(layers)).toBe('allowed')
    const exact = { type: 'exactRepository', dockerRepository: 'registry.example/other/app' }
    const requirements = [{ ...SIGNED, signedIdentity: exact }]
    expect(await outcomeOf(layers, { requirements })).toBe('allowed')
    for (const signedIdentity of [
      { type: 'matchExact' },
      { type: 'matchRepoDigestOrExact' },
      { type: 'exactReference', dockerReference: TAGGED },
      { type: 'remapIdentity', prefix: 'registry.example', signedPrefix: 'registry.example' },
    ]) {
      const requirements = [{ ...SIGNED, signedIdentity }]
      expect(await outcomeOf((digest) => [signed(KEY, digest)], { requirements })).toBe(
        'identity-type-unsupported',
      )
    }
  })

  it('denies for key fields of which there are both or none, before it asks for anything', async () => {
    const { store, manifestDigest } = await withImage()
    for (const fields of [{}, { keyPath: '/k', keyData: 'k' }, { keyPath: 'https://example.com/k' }]) {
      const requirements = [{ type: 'sigstoreSigned', ...fields }]
      const verdict = await judge({ store, manifestDigest, requirements })
      expect(outcome(verdict)).toBe('key-source-invalid')
    }
  })

  it('takes the key from where the policy says, and denies if the verifier would not get it', async () => {
    const { store, manifestDigest } = await withImage()
    await attach(store, manifestDigest, [signed(KEY, manifestDigest)])
    const requirements = [{ type: 'sigstoreSigned', keyPath: 'kbs:///default/sig-public-key/test' }]
    const found: ResourceProvider = async (location) => {
      expect(location).toEqual({ kind: 'kbs', uri: 'kbs:///default/sig-public-key/test' })
      return { outcome: 'found', bytes: encodeUtf8(pemOf(KEY)) }
    }
    expect(outcome(await judge({ store, manifestDigest, requirements, resources: found }))).toBe('allowed')
    const missing: ResourceProvider = async () => ({
      outcome: 'missing',
      message: 'Not there.',
      fix: 'Put it.',
    })
    const denied = await judge({ store, manifestDigest, requirements, resources: missing })
    expect(denied).toMatchObject({
      outcome: 'denied',
      cause: { code: 'key-missing', message: 'Not there.', fix: 'Put it.' },
    })
  })

  it('rejects by a requirement and by default, under the scope that matches', async () => {
    const { store, manifestDigest } = await withImage()
    const reject = [{ type: 'reject' }]
    const accept = [{ type: 'insecureAcceptAnything' }]
    const cases: [object, 'allowed' | DenialCode][] = [
      [{ default: reject, transports: {} }, 'rejected-by-policy'],
      [{ default: accept, transports: { docker: { [REPOSITORY]: reject } } }, 'rejected-by-policy'],
      [{ default: reject, transports: { docker: { [REPOSITORY]: accept } } }, 'allowed'],
      [{ default: reject, transports: { dir: { '': accept } } }, 'rejected-by-policy'],
      [{ default: reject, transports: { docker: { '': accept } } }, 'allowed'],
    ]
    for (const [policy, expected] of cases) {
      expect(outcome(await judge({ store, manifestDigest, policy }))).toBe(expected)
    }
  })

  it('takes requirements as an AND in which the first that fails decides', async () => {
    const { store, manifestDigest } = await withImage()
    await attach(store, manifestDigest, [signed(KEY, manifestDigest), signed(OTHER_KEY, manifestDigest)])
    const other = { type: 'sigstoreSigned', keyData: pemOf(OTHER_KEY) }
    const third = { type: 'sigstoreSigned', keyData: pemOf(makeKey()) }
    const accept = { type: 'insecureAcceptAnything' }
    const cases: [object[], 'allowed' | DenialCode][] = [
      [[SIGNED, other], 'allowed'],
      [[SIGNED, third], 'wrong-key'],
      [[third, SIGNED], 'wrong-key'],
      [[accept, third], 'wrong-key'],
      [[accept, SIGNED, { type: 'reject' }], 'rejected-by-policy'],
      [[third, { type: 'reject' }], 'wrong-key'],
      // What cannot be judged after a denial is not asked.
      [[{ type: 'reject' }, { type: 'signedBy', keyType: 'GPGKeys', keyPath: '/k' }], 'rejected-by-policy'],
    ]
    for (const [requirements, expected] of cases) {
      expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe(expected)
    }
  })

  it('throws for signedBy, which it cannot judge', async () => {
    const { store, manifestDigest } = await withImage()
    const requirements = [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: '/k' }]
    await expect(judge({ store, manifestDigest, requirements })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  })

  it.each(['UNAVAILABLE', 'TIMEOUT', 'UNAUTHORIZED', 'FORBIDDEN', 'ABORTED', 'TOO_LARGE'] as const)(
    'throws %s of the registry and of the resource provider: neither allowed nor denied',
    async (code) => {
      const fail = () => {
        throw new CosignetError(code, 'It does not answer.')
      }
      for (const faults of [{ beforeGetManifest: fail }, { beforeGetBlob: fail }]) {
        const { store: whole, manifestDigest } = await withImage()
        await attach(whole, manifestDigest, [signed(KEY, manifestDigest)])
        const store = new MemoryImageStore(faults)
        for (const [digest, bytes] of whole.blobs) store.blobs.set(digest, bytes)
        for (const [digest, manifest] of whole.manifests) store.manifests.set(digest, manifest)
        for (const [tag, digest] of whole.tags) store.tags.set(tag, digest)
        const judging = judge({ store, manifestDigest, requirements: [SIGNED] })
        await expect(judging).rejects.toMatchObject({ code })
      }
      const { store, manifestDigest } = await withImage()
      const requirements = [{ type: 'sigstoreSigned', keyPath: 'kbs:///a/b/c' }]
      const judging = judge({ store, manifestDigest, requirements, resources: async () => fail() })
      await expect(judging).rejects.toMatchObject({ code })
    },
  )

  it('denies a signature image of which a payload is missing, is not what its digest says, or which is an index', async () => {
    const { store, manifestDigest } = await withImage()
    const layer = signed(KEY, manifestDigest)
    await attach(store, manifestDigest, [layer])
    const requirements = [SIGNED]
    store.blobs.delete(digestOf(layer.payload))
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('signature-image-invalid')
    store.blobs.set(digestOf(layer.payload), encodeUtf8(Buffer.from(layer.payload).toString().toUpperCase()))
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('signature-image-invalid')
    store.tags.set(signatureTag(manifestDigest), await addIndex(store, manifestDigest))
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('signature-image-invalid')
  })

  it.each<[string, string]>([
    ['base64 of the PEM', base64(encodeUtf8(pemOf(KEY)))],
    ['garbage', 'garbage'],
    ['nothing', ''],
    ['a private key', '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n'],
    ['a cut key', pemOf(KEY).slice(0, 100)],
  ])('denies for a key that is %s', async (_, keyData) => {
    const requirements = [{ type: 'sigstoreSigned', keyData }]
    expect(await outcomeOf((digest) => [signed(KEY, digest)], { requirements })).toBe('key-invalid')
  })

  it('allows nothing whose payload, signature, key or scope differs in a byte', async () => {
    const image = await withImage()
    const layer = signed(KEY, image.manifestDigest)
    const parts = {
      payload: Buffer.from(layer.payload),
      signature: Buffer.from(layer.signature ?? ''),
      key: Buffer.from(pemOf(KEY)),
      scope: Buffer.from(REPOSITORY),
    }
    const mutation = fc.constantFrom(...(Object.keys(parts) as (keyof typeof parts)[])).chain((part) =>
      fc.record({
        part: fc.constant(part),
        at: fc.nat(parts[part].length - 1),
        // Printable and not: JSON carries the text, so a byte stays a character below 128.
        byte: fc.nat(127),
      }),
    )
    await fc.assert(
      fc.asyncProperty(mutation, async ({ part, at, byte }) => {
        const changed = Buffer.from(parts[part])
        fc.pre(changed[at] !== byte)
        changed[at] = byte
        const now = { ...parts, [part]: changed }
        fc.pre(!isHarmless(part, parts[part].toString(), changed.toString()))
        const store = new MemoryImageStore()
        await attach(store, image.manifestDigest, [
          { payload: now.payload, signature: now.signature.toString() },
        ])
        const requirements = [{ type: 'sigstoreSigned', keyData: now.key.toString() }]
        const docker = { [now.scope.toString()]: requirements }
        const policy = { default: [{ type: 'reject' }], transports: { docker } }
        const { manifestDigest } = image
        expect(outcome(await judge({ store, manifestDigest, policy }))).not.toBe('allowed')
      }),
      { numRuns: 400 },
    )
  })
})

/** Whether a mutation leaves the key as it is: other white space in its block, other text after it. */
function isHarmless(part: string, before: string, after: string): boolean {
  const block = (text: string) =>
    /^-----BEGIN PUBLIC KEY-----([^-]*)-----END PUBLIC KEY-----/.exec(text)?.[1]?.replace(/\s/g, '')
  return part === 'key' && block(before) === block(after)
}

describe('where the guest and cosign differ', () => {
  /** What each makes of an image with these layers in its signature image, by one key. */
  async function bothOf(
    layers: (digest: Digest) => readonly SignatureLayer[],
    { key = KEY, signedIdentity }: { key?: SigningKey; signedIdentity?: object } = {},
  ): Promise<['allowed' | DenialCode, 'allowed' | DenialCode]> {
    const { store, manifestDigest } = await withImage()
    await attach(store, manifestDigest, layers(manifestDigest))
    const requirement = { type: 'sigstoreSigned', keyData: pemOf(key), signedIdentity }
    const guest = await judge({ store, manifestDigest, requirements: [requirement] })
    const cosign = await judgeByKeys({ source: store, digest: manifestDigest, keys: [key] })
    return [outcome(guest), outcome(cosign)]
  }

  const hashes: [
    Parameters<typeof makeKey>[0],
    string | null,
    'allowed' | DenialCode,
    'allowed' | DenialCode,
  ][] = [
    ['p256', 'sha256', 'allowed', 'allowed'],
    ['p256', 'sha384', 'wrong-key', 'wrong-key'],
    ['p384', 'sha256', 'wrong-key', 'allowed'],
    ['p384', 'sha384', 'allowed', 'wrong-key'],
    ['p521', 'sha256', 'key-invalid', 'allowed'],
    ['p521', 'sha512', 'key-invalid', 'wrong-key'],
    ['ed25519', null, 'allowed', 'allowed'],
    ['rsa', 'sha256', 'allowed', 'allowed'],
    ['rsa', 'sha512', 'wrong-key', 'wrong-key'],
  ]
  it.each(hashes)('%s over %s is %s in the guest and %s in cosign', async (kind, hash, guest, cosign) => {
    const key = makeKey(kind, hash)
    expect(await bothOf((digest) => [signed(key, digest)], { key })).toEqual([guest, cosign])
  })

  it.each([
    (digest: Digest) => `[[["${REPOSITORY}"],["${digest}"],"t"],null]`,
    (digest: Digest) => `{"critical":[["${REPOSITORY}"],["${digest}"],"t"],"optional":null}`,
    (digest: Digest) =>
      `{"critical":{"identity":{"docker-reference":"x"},"image":["${digest}"],"type":"t"},"optional":null}`,
  ])('a payload with a list for a struct is one for serde and none for Go (%#)', async (payloadOf) => {
    const layers = (digest: Digest): SignatureLayer[] => {
      const payload = encodeUtf8(payloadOf(digest))
      return [{ payload, signature: base64(KEY.sign(payload)) }]
    }
    expect(await bothOf(layers)).toEqual(['allowed', 'signature-image-invalid'])
  })

  it('an empty list of requirements accepts in the guest, with a warning', async () => {
    const { store, manifestDigest } = await withImage()
    const verdict = await judge({ store, manifestDigest, requirements: [] })
    expect(verdict.outcome).toBe('allowed')
    expect(verdict.trace.map((step) => step.outcome)).toEqual(['ok', 'warning', 'ok'])
  })

  it('a layer of another media type spoils all signatures in the guest alone', async () => {
    const layers = (digest: Digest): SignatureLayer[] => [
      signed(KEY, digest),
      { payload: encodeUtf8('{}'), signature: undefined, mediaType: 'application/vnd.other' },
    ]
    expect(await bothOf(layers)).toEqual(['signature-image-invalid', 'allowed'])
  })

  it('the guest reads the configuration of the signature image, too', async () => {
    const { store, manifestDigest } = await withImage()
    await attach(store, manifestDigest, [signed(KEY, manifestDigest)])
    store.blobs.delete(digestOf(encodeUtf8('{}')))
    const requirements = [SIGNED]
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('signature-image-invalid')
    expect(outcome(await judgeByKeys({ source: store, digest: manifestDigest, keys: [KEY] }))).toBe('allowed')
  })

  it('a signature by somebody else under another name spoils the identity in the guest', async () => {
    const signedIdentity = { type: 'matchRepository' }
    const layers = (digest: Digest) => [
      signed(KEY, digest),
      signed(OTHER_KEY, digest, 'registry.example/other/app'),
    ]
    expect(await bothOf(layers, { signedIdentity })).toEqual(['identity-mismatch', 'allowed'])
    // What names another image does not count, and neither does a layer without a signature.
    const others = (digest: Digest) => [
      signed(KEY, digest),
      signed(OTHER_KEY, digestOf(encodeUtf8('x')), 'registry.example/other/app'),
      { ...signed(OTHER_KEY, digest, 'registry.example/other/app'), signature: undefined },
    ]
    expect(await bothOf(others, { signedIdentity })).toEqual(['allowed', 'allowed'])
  })

  it('a payload that is missing spoils all signatures in the guest alone', async () => {
    const { store, manifestDigest } = await withImage()
    const lost = signed(KEY, manifestDigest, 'registry.example/lost')
    await attach(store, manifestDigest, [lost, signed(KEY, manifestDigest)])
    store.blobs.delete(digestOf(lost.payload))
    const requirements = [SIGNED]
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('signature-image-invalid')
    expect(outcome(await judgeByKeys({ source: store, digest: manifestDigest, keys: [KEY] }))).toBe('allowed')
  })

  it('bundles are no signature to the guest, and spoil none', async () => {
    const { store, manifestDigest } = await withImage()
    store.referrers.set(manifestDigest, [{ ...BUNDLE, digest: digestOf(encodeUtf8('{}')) }])
    const requirements = [SIGNED]
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('bundle-only')
    await attach(store, manifestDigest, [signed(KEY, manifestDigest)])
    expect(outcome(await judge({ store, manifestDigest, requirements }))).toBe('allowed')
  })

  it('a certificate beside the key must be valid for cosign, and the guest does not look', async () => {
    const certificate = { annotations: { [COSIGN.certificate]: 'a certificate' } }
    const layers = (digest: Digest) => [{ ...signed(KEY, digest), ...certificate }]
    expect(await bothOf(layers)).toEqual(['allowed', 'signature-image-invalid'])
    expect(await bothOf((digest) => [...layers(digest), signed(KEY, digest)])).toEqual(['allowed', 'allowed'])
  })

  it('a denial by the guest stands though the search for its reason fails', async () => {
    const { store, manifestDigest } = await withImage()
    const indexDigest = await addIndex(store, manifestDigest)
    store.tags.set(signatureTag(manifestDigest), indexDigest)
    store.listReferrers = async () => {
      throw new CosignetError('UNAVAILABLE', 'It does not answer.')
    }
    const requirements = [SIGNED]
    expect(outcome(await judge({ store, manifestDigest, indexDigest, requirements }))).toBe('unsigned')
    store.listReferrers = async () => {
      throw new CosignetError('ABORTED', 'Stopped.')
    }
    await expect(judge({ store, manifestDigest, indexDigest, requirements })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })
})

describe('what the guest prints', () => {
  it('is one line for whatever fails', async () => {
    const { store, manifestDigest } = await withImage()
    // From guest-components, image-rs/src/signature/mod.rs: DeniedByPolicy and check_image_requirement.
    const unsigned = await judge({ store, manifestDigest, requirements: [SIGNED] })
    expect(unsigned).toMatchObject({
      verifierText: 'Denied by policy: rejected by `sigstoreSigned` rule',
    })
    const rejected = await judge({ store, manifestDigest, requirements: [{ type: 'reject' }] })
    expect(rejected).toMatchObject({
      verifierText: `Denied by policy: Policy \`reject\` rejects image ${TAGGED}`,
    })
  })

  it('goes with a fix that never loosens the policy', async () => {
    const { store, manifestDigest } = await withImage()
    for (const requirements of [[SIGNED], [{ type: 'reject' }], [{ type: 'sigstoreSigned' }]]) {
      const verdict = await judge({ store, manifestDigest, requirements })
      expect(verdict).toMatchObject({ cause: { fix: expect.not.stringContaining('insecureAcceptAnything') } })
    }
  })
})
