import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  addImage,
  addIndex,
  attach,
  base64,
  judgeByKeys,
  makeKey,
  pemOf,
  REPOSITORY,
  type SignatureLayer,
  signed,
} from '../../test/fixtures/judged-image.ts'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { bundleOf, makeOpenPgpKey, messageOf, refer, storeOf } from '../../test/fixtures/signature-kinds.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import { type Digest, digestOf, MEDIA_TYPES } from '../oci/index.ts'
import {
  COSIGN,
  encodePayload,
  encodeSignatureBlob,
  parseRekorKeys,
  signatureTag,
} from '../signature/index.ts'
import type { DenialCode, SeenSignature, SignatureFault, TrustedKey, Verdict } from './index.ts'

const [A, B, C] = [makeKey(), makeKey(), makeKey()]
const OTHER = digestOf(encodeUtf8('another image'))

let first: Awaited<ReturnType<typeof makeOpenPgpKey>>
let second: Awaited<ReturnType<typeof makeOpenPgpKey>>
let store: MemoryImageStore
let digest: Digest

beforeAll(async () => {
  first = await makeOpenPgpKey('First <first@example.com>')
  second = await makeOpenPgpKey('Second <second@example.com>')
})

async function newImage(): Promise<void> {
  store = new MemoryImageStore()
  digest = await addImage(store)
}

function openPgp(...keys: readonly { readonly key: typeof first.key }[]): TrustedKey {
  return { kind: 'openpgp', keys: keys.map(({ key }) => key), name: 'release.asc' }
}

/** `allowed`, or the code of the denial. */
function outcome(verdict: Verdict): 'allowed' | DenialCode {
  return verdict.outcome === 'allowed' ? 'allowed' : verdict.cause.code
}

/** `counts`, or the fault, of each signature seen. */
function faults({ signatures = [] }: Verdict): ('counts' | SignatureFault | undefined)[] {
  return signatures.map(({ counts, fault }) => (counts ? 'counts' : fault?.code))
}

function layerOf(key: SigningKey, annotations: Readonly<Record<string, string>>): SignatureLayer {
  const payload = encodePayload({ dockerReference: REPOSITORY, manifestDigest: digest, annotations })
  return { payload, signature: base64(key.sign(payload)) }
}

describe('evaluateKeys', () => {
  it('tells of each kind of signature who made it, when, and of what', async () => {
    await newImage()
    await attach(store, digest, [layerOf(A, { a: 'b' })])
    const referrer = await refer(store, digest, bundleOf(B, digest, { annotations: { c: 'd' } }))
    const message = await messageOf(first.signer, digest)
    const verdict = await judgeByKeys({
      source: store,
      digest,
      keys: [A, B, openPgp(first)],
      required: 3,
      openSignatures: async () => storeOf([message]),
    })
    expect(verdict).toMatchObject({ outcome: 'allowed', profile: 'cosign' })
    expect(verdict.signatures).toEqual([
      {
        kind: 'cosign',
        location: `${REPOSITORY}:${signatureTag(digest)}`,
        digest: digestOf(layerOf(A, { a: 'b' }).payload),
        signer: { fingerprint: A.publicKey.fingerprint, name: 'key 1' },
        claims: { reference: REPOSITORY, digest, annotations: { a: 'b' } },
        counts: true,
      },
      {
        kind: 'bundle',
        location: `${REPOSITORY}@${referrer}`,
        digest: referrer,
        signer: { fingerprint: B.publicKey.fingerprint, name: 'key 2' },
        claims: { digest, annotations: { c: 'd' } },
        counts: true,
      },
      {
        kind: 'simple',
        location: 'lookaside (signature 1)',
        signer: {
          fingerprint: first.key.fingerprint,
          name: 'release.asc',
          userIds: ['First <first@example.com>'],
        },
        time: { at: expect.stringMatching(/^20\d\d-.*Z$/), source: 'signature', claimed: false },
        claims: { reference: `${REPOSITORY}:v1`, digest },
        counts: true,
      },
    ] satisfies SeenSignature[])
  })

  it('counts keys and not signatures, files or names', async () => {
    await newImage()
    await attach(store, digest, [signed(A, digest), signed(A, digest), layerOf(A, { a: 'b' })])
    await refer(store, digest, bundleOf(A, digest))
    const judging = { source: store, digest }
    const twice = await judgeByKeys({ ...judging, keys: [A, A, B], required: 2 })
    expect(outcome(twice)).toBe('too-few-signers')
    expect(faults(twice)).toEqual(['counts', 'counts', 'counts', 'counts'])
    await attach(store, digest, [signed(A, digest), signed(B, digest)])
    expect(outcome(await judgeByKeys({ ...judging, keys: [A, B], required: 2 }))).toBe('allowed')
  })

  it.each([0, -1, 1.5, 3, Number.NaN])('refuses to ask for %s of two keys', async (required) => {
    await newImage()
    const judging = judgeByKeys({ source: store, digest, keys: [A, B, A], required })
    await expect(judging).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('looks for signatures where the keys could have put them, and elsewhere only to say why', async () => {
    await newImage()
    const opened: string[] = []
    const openSignatures = async () => {
      opened.push('store')
      return storeOf([await messageOf(first.signer, digest)])
    }
    const judging = { source: store, digest, openSignatures }
    await attach(store, digest, [signed(A, digest)])
    expect(outcome(await judgeByKeys({ ...judging, keys: [A] }))).toBe('allowed')
    expect(opened).toEqual([])
    const denied = await judgeByKeys({ ...judging, keys: [B] })
    expect([outcome(denied), opened]).toEqual(['wrong-key', ['store']])
    expect(denied.signatures?.map(({ kind, claims }) => [kind, claims.key])).toEqual([
      ['cosign', undefined],
      ['simple', first.key.fingerprint],
    ])
    store.calls.length = 0
    expect(outcome(await judgeByKeys({ ...judging, keys: [openPgp(first)] }))).toBe('allowed')
    expect(store.calls).toEqual([])
  })

  it('names a store as it is called once it has been read', async () => {
    await newImage()
    let name = REPOSITORY
    const { store: files } = storeOf([await messageOf(first.signer, digest)])
    const found = {
      ...files,
      get name() {
        return name
      },
      list: async () => {
        name = 'file:///sigstore'
        return await files.list(digest)
      },
    }
    const openSignatures = async () => ({ store: found })
    const verdict = await judgeByKeys({ source: store, digest, keys: [openPgp(first)], openSignatures })
    expect(verdict.signatures?.[0]?.location).toBe('file:///sigstore (signature 1)')
  })

  it('counts a good signature wherever it is found', async () => {
    await newImage()
    const { payload, signature = '' } = signed(A, digest)
    const annotations = { [COSIGN.signature]: signature }
    const mediaType = COSIGN.payloadMediaType
    const file = encodeSignatureBlob({ kind: 'sigstore', mediaType, payload, annotations })
    const judging = { source: store, digest, openSignatures: async () => storeOf([file]) }
    expect(outcome(await judgeByKeys({ ...judging, keys: [A] }))).toBe('allowed')
    expect(outcome(await judgeByKeys({ ...judging, keys: [B] }))).toBe('wrong-key')
  })

  it('says what cosign says, which takes no notice of OpenPGP and of bundles that it cannot read', async () => {
    await newImage()
    const judging = { source: store, digest, keys: [A] }
    const textOf = async () => {
      const openSignatures = async () => storeOf([await messageOf(first.signer, digest)])
      const verdict = await judgeByKeys({ ...judging, openSignatures })
      return verdict.outcome === 'denied' ? verdict.verifierText : undefined
    }
    expect(await textOf()).toBe('no signatures found')
    await refer(store, digest, 'bundle')
    expect(await textOf()).toBe('no signatures found')
    await refer(store, digest, bundleOf(B, digest))
    expect(await textOf()).toBe('no matching attestations')
  })

  it('is not kept from a denial by what cannot be found out beyond it', async () => {
    await newImage()
    const fail = async () => {
      throw new CosignetError('UNAVAILABLE', 'It does not answer.')
    }
    expect(outcome(await judgeByKeys({ source: store, digest, keys: [A], openSignatures: fail }))).toBe(
      'unsigned',
    )
    const openSignatures = async () => ({ store: undefined, reason: 'nobody keeps one' })
    expect(
      outcome(await judgeByKeys({ source: store, digest, keys: [openPgp(first)], openSignatures })),
    ).toBe('unsigned')
    const judging = judgeByKeys({ source: store, digest, keys: [openPgp(first)], openSignatures: fail })
    await expect(judging).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('reads cosign signatures that are kept as files, as in dir:', async () => {
    await newImage()
    const { payload, signature = '' } = signed(A, digest)
    const annotations = { [COSIGN.signature]: signature }
    const file = encodeSignatureBlob({
      kind: 'sigstore',
      mediaType: COSIGN.payloadMediaType,
      payload,
      annotations,
    })
    const source = Object.assign(store, { listSignatures: async () => [file] })
    const verdict = await judgeByKeys({
      source,
      digest,
      keys: [A],
      openSignatures: async () => storeOf([file]),
    })
    expect([outcome(verdict), verdict.signatures?.[0]?.kind]).toEqual(['allowed', 'cosign'])
  })

  it.each<[string, () => SignatureLayer, SignatureFault, DenialCode]>([
    ['of another key', () => signed(B, digest), 'wrong-key', 'wrong-key'],
    ['of another image', () => signed(A, OTHER), 'other-image', 'other-image'],
    ['without the annotation', () => layerOf(A, { a: 'c' }), 'annotation-mismatch', 'annotation-mismatch'],
    [
      'without a signature',
      () => ({ ...layerOf(A, { a: 'b' }), signature: undefined }),
      'no-signature',
      'signature-image-invalid',
    ],
    [
      'with what is no base64',
      () => ({ ...layerOf(A, { a: 'b' }), signature: '?' }),
      'unreadable',
      'signature-image-invalid',
    ],
    [
      'over a payload that nobody can read',
      () => ({ payload: encodeUtf8('{}'), signature: base64(A.sign(encodeUtf8('{}'))) }),
      'unreadable',
      'signature-image-invalid',
    ],
    [
      'over a payload that was changed',
      () => ({ ...signed(A, digest), payload: encodeUtf8('{"critical":{}}') }),
      'payload-changed',
      'payload-changed',
    ],
    [
      'named by SHA-512',
      () => ({ ...layerOf(A, { a: 'b' }), algorithm: 'sha512' }),
      'unsupported',
      'signature-image-invalid',
    ],
  ])('does not count a cosign signature %s, and tells why', async (_, layer, fault, code) => {
    await newImage()
    await attach(store, digest, [layer()])
    const judging = { source: store, digest, keys: [A], annotations: { a: 'b' } }
    const alone = await judgeByKeys(judging)
    expect([faults(alone), outcome(alone)]).toEqual([[fault], code])
    await attach(store, digest, [layer(), layerOf(A, { a: 'b' })])
    const beside = await judgeByKeys(judging)
    expect([faults(beside), outcome(beside)]).toEqual([[fault, 'counts'], 'allowed'])
  })

  it.each<[string, () => string, SignatureFault, DenialCode]>([
    ['of another key', () => bundleOf(B, digest), 'wrong-key', 'wrong-key'],
    ['of another image', () => bundleOf(A, OTHER), 'other-image', 'other-image'],
    ['without the annotation', () => bundleOf(A, digest), 'annotation-mismatch', 'annotation-mismatch'],
    [
      'that is an attestation (GHSA-w6c6-c85g-mmv6)',
      () => bundleOf(A, digest, { predicateType: 'https://spdx.dev/Document', annotations: { a: 'b' } }),
      'not-a-signature',
      'unsigned',
    ],
    ['that is no JSON', () => 'bundle', 'unreadable', 'signature-image-invalid'],
  ])('does not count a bundle %s, and tells why', async (_, bundle, fault, code) => {
    await newImage()
    await refer(store, digest, bundle())
    const judging = { source: store, digest, keys: [A], annotations: { a: 'b' } }
    const alone = await judgeByKeys(judging)
    expect([faults(alone), outcome(alone)]).toEqual([[fault], code])
    await refer(store, digest, bundleOf(A, digest, { annotations: { a: 'b' } }))
    const beside = await judgeByKeys(judging)
    expect([faults(beside), outcome(beside)]).toEqual([[fault, 'counts'], 'allowed'])
  })

  it.each<[string, () => Promise<Uint8Array>, SignatureFault, DenialCode]>([
    ['of another key', () => messageOf(second.signer, digest), 'wrong-key', 'wrong-key'],
    ['of another image', () => messageOf(first.signer, OTHER), 'other-image', 'other-image'],
    [
      'over something else',
      () => first.signer.sign(encodeUtf8('hello')),
      'unreadable',
      'signature-image-invalid',
    ],
    [
      'that is damaged',
      async () => (await messageOf(first.signer, digest)).subarray(0, -5),
      'unreadable',
      'signature-image-invalid',
    ],
    ['that is no message', async () => encodeUtf8('hello'), 'unreadable', 'signature-image-invalid'],
    ['that is empty', async () => new Uint8Array(), 'unreadable', 'signature-image-invalid'],
  ])('does not count an OpenPGP signature %s, and tells why', async (_, message, fault, code) => {
    await newImage()
    const judging = { source: store, digest, keys: [openPgp(first)] }
    const bad = await message()
    const alone = await judgeByKeys({ ...judging, openSignatures: async () => storeOf([bad]) })
    expect([faults(alone), outcome(alone)]).toEqual([[fault], code])
    const both = storeOf([bad, await messageOf(first.signer, digest)])
    const beside = await judgeByKeys({ ...judging, openSignatures: async () => both })
    expect([faults(beside), outcome(beside)]).toEqual([[fault, 'counts'], 'allowed'])
  })

  it('takes a signature image that nobody can read for a signature that nobody can read', async () => {
    await newImage()
    await refer(store, digest, bundleOf(A, digest))
    store.tags.set(signatureTag(digest), await addIndex(store, digest))
    expect(faults(await judgeByKeys({ source: store, digest, keys: [A] }))).toEqual(['unreadable', 'counts'])
    const garbage = encodeUtf8('manifest')
    store.manifests.set(OTHER, { bytes: garbage, digest: OTHER, mediaType: MEDIA_TYPES.ociManifest })
    store.tags.set(signatureTag(digest), OTHER)
    expect(faults(await judgeByKeys({ source: store, digest, keys: [A] }))).toEqual(['unreadable', 'counts'])
  })

  it.each(['UNAVAILABLE', 'TIMEOUT', 'UNAUTHORIZED', 'FORBIDDEN', 'ABORTED', 'TOO_LARGE'] as const)(
    'throws %s of the registry: neither allowed nor denied',
    async (code) => {
      const fail = () => {
        throw new CosignetError(code, 'It does not answer.')
      }
      const broken = new MemoryImageStore({ beforeGetManifest: fail })
      await expect(judgeByKeys({ source: broken, digest: OTHER, keys: [A] })).rejects.toMatchObject({ code })
      await newImage()
      await attach(store, digest, [signed(A, digest)])
      store.listReferrers = async () => fail()
      await expect(judgeByKeys({ source: store, digest, keys: [A] })).rejects.toMatchObject({ code })
    },
  )

  it('throws for more signatures than are read (CVE-2023-46737)', async () => {
    await newImage()
    const files = Array.from({ length: 1001 }, () => new Uint8Array())
    const judging = { source: store, digest, keys: [openPgp(first)] }
    const many = judgeByKeys({ ...judging, openSignatures: async () => storeOf(files) })
    await expect(many).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('says that an image with a SHA-512 digest has no signature tag', async () => {
    await newImage()
    const long = digestOf(encodeUtf8('image'), 'sha512')
    const verdict = await judgeByKeys({ source: store, digest: long, keys: [A] })
    expect(outcome(verdict)).toBe('unsigned')
    expect(verdict.trace.some(({ message }) => message.includes('cannot have a signature tag'))).toBe(true)
  })

  it('takes cosign signatures of any image, and no others, where claims are not checked', async () => {
    await newImage()
    await attach(store, digest, [signed(A, OTHER)])
    await refer(store, digest, bundleOf(A, digest))
    const verdict = await judgeByKeys({ source: store, digest, keys: [A], checkClaims: false })
    expect([outcome(verdict), faults(verdict)]).toEqual(['allowed', ['counts', 'unsupported']])
    expect(verdict.trace.filter((step) => step.outcome === 'warning')).not.toEqual([])
  })

  it('wants each signature in the log whose key is given', async () => {
    await newImage()
    const rekorKeys = parseRekorKeys(encodeUtf8(pemOf(C)), 'The key of the log')
    const entry = { annotations: { [COSIGN.bundle]: '{}' } }
    await attach(store, digest, [signed(A, digest), { ...signed(A, digest), ...entry }])
    await refer(store, digest, bundleOf(A, digest))
    const verdict = await judgeByKeys({
      source: store,
      digest,
      keys: [A, openPgp(first)],
      rekorKeys,
      openSignatures: async () => storeOf([await messageOf(first.signer, digest)]),
    })
    expect(faults(verdict)).toEqual(['not-logged', 'log-entry-invalid', 'not-logged', 'not-logged'])
    expect(outcome(verdict)).toBe('not-logged')
  })

  it('names a time that nobody vouches for as claimed', async () => {
    await newImage()
    const log = { [COSIGN.bundle]: '{"Payload":{"integratedTime":1700000000}}' }
    const payload = encodeUtf8(
      `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"${digest}"},"type":"t"},"optional":{"timestamp":1600000000}}`,
    )
    const stamped = { payload, signature: base64(A.sign(payload)) }
    await attach(store, digest, [{ ...signed(A, digest), annotations: log }, stamped])
    const times = async (key: SigningKey) =>
      (await judgeByKeys({ source: store, digest, keys: [key] })).signatures?.map(({ time }) => time)
    expect(await times(A)).toEqual([
      { at: '2023-11-14T22:13:20Z', source: 'log', claimed: true },
      { at: '2020-09-13T12:26:40Z', source: 'payload', claimed: false },
    ])
    expect((await times(B))?.map((time) => time?.claimed)).toEqual([true, true])
  })

  it.each<[string, () => Promise<void>, RegExp | undefined]>([
    [
      'bundles of somebody else beside a good signature',
      async () => void (await refer(store, digest, bundleOf(B, digest))),
      /cosign 3 refuses this image/,
    ],
    [
      'an attestation of the key',
      async () => void (await refer(store, digest, bundleOf(A, digest, { predicateType: 'x' }))),
      /cosign 3 takes .* for a signature/,
    ],
    ['a good bundle too', async () => void (await refer(store, digest, bundleOf(A, digest))), undefined],
    ['a bundle that cosign passes over', async () => void (await refer(store, digest, 'bundle')), undefined],
  ])('warns where cosign 3 decides otherwise: %s', async (_, prepare, warning) => {
    await newImage()
    await attach(store, digest, [signed(A, digest)])
    await prepare()
    const verdict = await judgeByKeys({ source: store, digest, keys: [A] })
    const warnings = verdict.trace.filter((step) => step.outcome === 'warning').map(({ message }) => message)
    expect(outcome(verdict)).toBe('allowed')
    expect(warnings).toEqual(warning === undefined ? [] : [expect.stringMatching(warning)])
  })

  it('warns of a signature that counts and names another repository', async () => {
    await newImage()
    await attach(store, digest, [signed(A, digest, 'registry.example/other')])
    const verdict = await judgeByKeys({ source: store, digest, keys: [A] })
    expect([outcome(verdict), verdict.trace.find((step) => step.outcome === 'warning')?.step]).toEqual([
      'allowed',
      'identity',
    ])
  })

  it('agrees with a plain count, whatever else is there', async () => {
    await newImage()
    const cosignKeys = [A, B, C]
    const signers = [first, second]
    const good = await Promise.all(signers.map(({ signer }) => messageOf(signer, digest)))
    const wrong = await Promise.all(signers.map(({ signer }) => messageOf(signer, OTHER)))
    const bundles = cosignKeys.map((key) => bundleOf(key, digest))
    const bad = [
      ...cosignKeys.map((key) => bundleOf(key, OTHER)),
      'bundle',
      '{}',
      bundleOf(A, digest, { predicateType: 'x' }),
    ]
    const layer = fc.oneof(
      fc.record({ good: fc.constantFrom(0, 1, 2) }),
      fc.constantFrom<SignatureLayer>(
        signed(makeKey(), digest),
        ...cosignKeys.map((key) => signed(key, OTHER)),
        { ...signed(A, digest), signature: undefined },
        { ...signed(A, digest), signature: signed(B, OTHER).signature },
        { ...signed(A, digest), payload: encodeUtf8('payload') },
        { ...signed(A, digest), annotations: { [COSIGN.bundle]: 'entry' } },
        { payload: encodeUtf8('{}'), signature: undefined, mediaType: 'text/plain' },
      ),
    )
    const image = fc.record({
      layers: fc.array(layer, { maxLength: 6 }),
      bundles: fc.array(fc.constantFrom<number | string>(0, 1, 2, ...bad), { maxLength: 4 }),
      files: fc.array(
        fc.oneof(fc.constantFrom<number | Uint8Array>(0, 1, ...wrong), fc.uint8Array({ maxLength: 40 })),
        { maxLength: 4 },
      ),
      keys: fc.subarray([0, 1, 2]),
      openPgpKeys: fc.subarray([0, 1]),
      required: fc.integer({ min: 1, max: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(image, async (drawn) => {
        fc.pre(drawn.required <= drawn.keys.length + drawn.openPgpKeys.length)
        const source = new MemoryImageStore()
        await attach(
          source,
          digest,
          drawn.layers.map((one) => ('good' in one ? signed(cosignKeys[one.good] ?? A, digest) : one)),
        )
        for (const one of drawn.bundles)
          await refer(source, digest, typeof one === 'number' ? (bundles[one] ?? '') : one)
        const files = drawn.files.map((one) =>
          typeof one === 'number' ? (good[one] ?? new Uint8Array()) : one,
        )
        const verdict = await judgeByKeys({
          source,
          digest,
          required: drawn.required,
          keys: [
            ...drawn.keys.map((i) => cosignKeys[i] ?? A),
            ...drawn.openPgpKeys.map((i) => openPgp(i === 0 ? first : second)),
          ],
          openSignatures: async () => storeOf(files),
        })
        const signedBy = drawn.keys.filter(
          (i) => drawn.bundles.includes(i) || drawn.layers.some((one) => 'good' in one && one.good === i),
        )
        const count = signedBy.length + drawn.openPgpKeys.filter((i) => drawn.files.includes(i)).length
        expect(verdict.outcome).toBe(count >= drawn.required ? 'allowed' : 'denied')
      }),
      { numRuns: 200 },
    )
  })
})

// That these work as they are typed, test/e2e/verify-fixes.test.ts tries.
describe('the fix of a denial', () => {
  const NAMED = `${REPOSITORY}@DIGEST`
  const named = (key: SigningKey, name: string): TrustedKey => ({
    kind: 'cosign',
    key: key.publicKey,
    name,
  })
  const log = { rekorKeys: parseRekorKeys(encodeUtf8(pemOf(C)), 'The key of the log') }
  it.each<
    [string, () => readonly (SigningKey | TrustedKey)[], Partial<Parameters<typeof judgeByKeys>[0]>, string]
  >([
    ['a key of no file', () => [named(A, 'env://KEY')], {}, `--key cosign.key ${NAMED}`],
    ['a file of another name', () => [named(A, 'keys/a b.pub')], {}, `--key 'keys/a b.key' ${NAMED}`],
    ['a key on the web', () => [named(A, 'https://x.example/a.pub')], {}, `--key cosign.key ${NAMED}`],
    ['a place', () => [named(A, 'k8s://team/release')], {}, `--key k8s://team/release ${NAMED}`],
    ['OpenPGP', () => [openPgp(first)], {}, `--sign-by FIRST ${NAMED}`],
    ['a log', () => [openPgp(first), named(A, 'a.pub')], log, `--key a.key --rekor-url URL ${NAMED}`],
    [
      'annotations',
      () => [named(A, 'a.pub')],
      { annotations: { a: 'b', c: '"1,2\'' } },
      `--key a.key -a a=b -a '"c=""1,2'\\''"' ${NAMED}`,
    ],
    [
      'two of three keys',
      () => [named(A, 'a.pub'), named(A, 'again.pub'), openPgp(first, second)],
      { required: 2 },
      `--key a.key ${NAMED} && cosignet sign --sign-by FIRST ${NAMED}`,
    ],
  ])('names what is missing: %s', async (_, keys, more, fix) => {
    await newImage()
    const verdict = await judgeByKeys({ source: store, digest, keys: keys(), ...more })
    const expected = fix.replaceAll('DIGEST', digest).replaceAll('FIRST', first.key.fingerprint)
    expect(verdict).toMatchObject({ outcome: 'denied', cause: { fix: `cosignet sign ${expected}` } })
  })

  it('names the key that has signed, and where too few have the others', async () => {
    await newImage()
    const keys = [named(A, 'a.pub'), named(B, 'b.pub'), named(C, 'c.pub')]
    await attach(store, digest, [signed(B, digest)])
    const fix = async (more: object) => {
      const verdict = await judgeByKeys({ source: store, digest, keys, ...more })
      return verdict.outcome === 'denied' ? verdict.cause.fix : undefined
    }
    expect(await fix({ annotations: { a: 'b' } })).toMatch(/--key b\.key -a a=b/)
    expect(await fix({ required: 2 })).toMatch(/--key a\.key \S+$/)
    expect(await fix({ required: 3 })).toMatch(/--key a\.key \S+ && .* --key c\.key \S+$/)
  })

  it('names no command where OpenPGP keys cannot make what is asked for', async () => {
    await newImage()
    const judging = { source: store, digest, keys: [openPgp(first)], annotations: { a: 'b' } }
    expect(await judgeByKeys(judging)).toMatchObject({
      cause: { fix: expect.stringContaining('OpenPGP signatures carry no annotations') },
    })
  })
})
