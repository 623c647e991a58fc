import { describe, expect, it } from 'vitest'
import { LOGGED_PAYLOAD, LOGGED_SIGNATURES, REKOR_PUB } from '../../test/fixtures/cosign-bundles.ts'
import { makeKey, pemOf } from '../../test/fixtures/judged-image.ts'
import { BODIES, LOGGED_AT, makeTestLog } from '../../test/fixtures/test-log.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { parsePublicKey } from '../keys/index.ts'
import {
  encodeRekorAnnotation,
  parseRekorKeys,
  publicRekorKeys,
  type RekorEntry,
  verifyRekorAnnotation,
} from './index.ts'
import { LOGGED_ENVELOPE, verifyRekorEntry } from './rekor-verify.ts'

const log = makeTestLog()
const { rekorKeys } = log
const signer = makeKey()
const payload = encodeUtf8('what was signed')
const parts = { payload, signature: signer.sign(payload), publicKey: pemOf(signer) }
const signed = { payload, signature: parts.signature, key: signer.publicKey }

function verify(entry: RekorEntry, kinds = LOGGED_ENVELOPE) {
  return verifyRekorEntry(entry, { ...signed, kinds }, rekorKeys)
}

describe('verifyRekorEntry', () => {
  it.each(['dsse', 'intoto'] as const)('accepts an entry of the kind %s', (kind) => {
    const verified = {
      logId: [...rekorKeys.keys()][0],
      logIndex: 102,
      integratedTime: new Date(LOGGED_AT * 1000),
    }
    expect(verify(log.enter(BODIES[kind](parts)))).toEqual(verified)
  })

  it('accepts a promise without a proof, and a proof without a promise, which gives no time', () => {
    const { promise, proof, ...entry } = log.enter(BODIES.dsse(parts))
    expect(verify({ ...entry, promise })).toHaveProperty('integratedTime')
    const proven = verify({ ...entry, proof })
    expect(proven).toHaveProperty('logIndex', 102)
    expect(proven).not.toHaveProperty('integratedTime')
  })

  it('accepts the proof of every leaf of trees of all shapes, and none for its neighbour', () => {
    const body = BODIES.dsse(parts)
    for (let size = 1; size <= 17; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const { promise: _, ...entry } = log.enter(body, index, size)
        expect(verify(entry)).toHaveProperty('logIndex')
        const proof = { ...entry.proof, logIndex: index ^ 1 }
        expect(verify({ ...entry, proof })).toHaveProperty('failure', 'log-proof-mismatch')
      }
    }
  })

  const other = makeKey()
  const swaps = [
    ['signature', { ...parts, signature: signer.sign(payload) }, 'log-signature-mismatch'],
    ['signature (of another key)', { ...parts, signature: other.sign(payload) }, 'log-signature-mismatch'],
    ['key', { ...parts, publicKey: pemOf(other) }, 'log-key-mismatch'],
    ['payload', { ...parts, payload: encodeUtf8('what was not') }, 'log-payload-mismatch'],
  ] as const

  // The log's promise and proof hold in each case: only the entry is of something else.
  describe.each(['dsse', 'intoto'] as const)('CVE-2022-36056, CVE-2026-22703: %s', (kind) => {
    it.each(swaps)('refuses an entry of another %s', (_, swapped, failure) => {
      expect(verify(log.enter(BODIES[kind](swapped)))).toHaveProperty('failure', failure)
    })
  })

  describe('CVE-2022-23649: the annotation of a signature', () => {
    it('is accepted where all of it belongs to the signature', () => {
      const annotation = encodeRekorAnnotation(log.enter(BODIES.hashedrekord(parts)))
      expect(verifyRekorAnnotation(annotation, { ...signed, rekorKeys })).toHaveProperty('logIndex', 102)
    })

    it.each(swaps)('is refused with an entry of another %s', (_, swapped, failure) => {
      const annotation = encodeRekorAnnotation(log.enter(BODIES.hashedrekord(swapped)))
      expect(verifyRekorAnnotation(annotation, { ...signed, rekorKeys })).toHaveProperty('failure', failure)
    })
  })

  const good = log.enter(BODIES.dsse(parts))
  const { promise, proof, ...bare } = good
  const changed = [
    ['another log', { ...good, logId: 'ab'.repeat(32) }, 'log-unknown'],
    ['neither promise nor proof', bare, 'log-unproven'],
    ['another time', { ...good, integratedTime: LOGGED_AT + 1 }, 'log-promise-mismatch'],
    ['another index', { ...good, logIndex: 1 }, 'log-promise-mismatch'],
    ['the promise of another entry', { ...good, promise: log.enter({}).promise }, 'log-promise-mismatch'],
    [
      'the promise of another log',
      { ...good, promise: makeTestLog().enter({}).promise },
      'log-promise-mismatch',
    ],
    ['the proof of another entry', { ...good, proof: log.enter({}).proof }, 'log-proof-mismatch'],
    ['a shorter path', { ...good, proof: { ...proof, hashes: proof.hashes.slice(1) } }, 'log-proof-mismatch'],
    [
      'the checkpoint of another tree',
      { ...good, proof: { ...proof, checkpoint: log.enter({}).proof.checkpoint } },
      'log-proof-mismatch',
    ],
    ['a body that is not JSON', { ...good, body: encodeUtf8('{') }, 'log-entry-malformed'],
    [
      'a body of another kind',
      log.enter({ kind: 'rpm', apiVersion: '0.0.1', spec: {} }),
      'log-entry-malformed',
    ],
    ['a body without anything', log.enter({ kind: 'dsse', apiVersion: '0.0.1' }), 'log-entry-malformed'],
    ['a kind for other signatures', log.enter(BODIES.hashedrekord(parts)), 'log-kind-mismatch'],
    ['in-toto 0.0.1', log.enter({ kind: 'intoto', apiVersion: '0.0.1', spec: {} }), 'log-kind-mismatch'],
    [
      'Rekor version 2',
      log.enter({ kind: 'hashedrekord', apiVersion: '0.0.2', spec: {} }),
      'log-version-unsupported',
    ],
  ] as const

  it.each(changed)('refuses %s', (_, entry, failure) => {
    expect(verify(entry)).toMatchObject({ failure, message: expect.stringMatching(/\.$/) })
  })

  it('takes several keys, and refuses an entry of a log that is not among them', () => {
    const pem = `${makeTestLog().publicKeyPem}\nsome text\n${log.publicKeyPem}`
    const several = parseRekorKeys(encodeUtf8(pem), 'The keys')
    expect(several.size).toBe(2)
    const entry = log.enter(BODIES.dsse(parts))
    const expected = { ...signed, kinds: LOGGED_ENVELOPE }
    expect(verifyRekorEntry(entry, expected, several)).toHaveProperty('logIndex')
    expect(verifyRekorEntry(entry, expected, publicRekorKeys())).toHaveProperty('failure', 'log-unknown')
  })
})

describe('verifyRekorAnnotation', () => {
  const keys = parseRekorKeys(encodeUtf8(REKOR_PUB), 'The key of the log')

  it.each(LOGGED_SIGNATURES)('accepts what cosign stored, and writes it again byte for byte', (stored) => {
    const key = parsePublicKey(encodeUtf8(stored.pub), 'The key')
    const signature = Buffer.from(stored.signature, 'base64')
    const of = { payload: encodeUtf8(LOGGED_PAYLOAD), signature, key, rekorKeys: keys }
    const { Payload, SignedEntryTimestamp } = JSON.parse(stored.annotation)
    expect(verifyRekorAnnotation(stored.annotation, of)).toEqual({
      logId: Payload.logID,
      logIndex: Payload.logIndex,
      integratedTime: new Date(Payload.integratedTime * 1000),
    })
    const entry = {
      body: Buffer.from(Payload.body, 'base64'),
      logId: Payload.logID,
      logIndex: Payload.logIndex,
      integratedTime: Payload.integratedTime,
      promise: Buffer.from(SignedEntryTimestamp, 'base64'),
    }
    expect(encodeRekorAnnotation(entry)).toBe(stored.annotation)
  })

  it.each(LOGGED_SIGNATURES)('refuses every flipped bit of what cosign stored', (stored) => {
    const key = parsePublicKey(encodeUtf8(stored.pub), 'The key')
    const signature = Buffer.from(stored.signature, 'base64')
    const verifies = (annotation: object, bytes: Uint8Array = signature): boolean => {
      const of = { payload: encodeUtf8(LOGGED_PAYLOAD), signature: bytes, key, rekorKeys: keys }
      return !('failure' in verifyRekorAnnotation(JSON.stringify(annotation), of))
    }
    const flip = (base64: string, at: number): Buffer => {
      const bytes = Buffer.from(base64, 'base64')
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at)
      return bytes
    }
    const good = JSON.parse(stored.annotation)
    const { Payload, SignedEntryTimestamp } = good
    expect(verifies(good)).toBe(true)
    for (let at = 0; at < Buffer.from(SignedEntryTimestamp, 'base64').byteLength; at += 1) {
      const promise = flip(SignedEntryTimestamp, at).toString('base64')
      expect(verifies({ ...good, SignedEntryTimestamp: promise }), `byte ${at} of the promise`).toBe(false)
    }
    for (let at = 0; at < Buffer.from(Payload.body, 'base64').byteLength; at += 7) {
      const body = flip(Payload.body, at).toString('base64')
      expect(verifies({ ...good, Payload: { ...Payload, body } }), `byte ${at} of the entry`).toBe(false)
    }
    for (let at = 0; at < signature.byteLength; at += 1) {
      expect(verifies(good, flip(stored.signature, at)), `byte ${at} of the signature`).toBe(false)
    }
  })

  it.each([
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['an empty object', '{}'],
    ['no promise', '{"Payload":{}}'],
    ['a promise that is not base64', '{"SignedEntryTimestamp":"?","Payload":{}}'],
    ['no payload', '{"SignedEntryTimestamp":"AAAA"}'],
    ['a body that is not base64', '{"SignedEntryTimestamp":"AAAA","Payload":{"body":"?"}}'],
    ['a negative index', '{"SignedEntryTimestamp":"AAAA","Payload":{"body":"e30=","logIndex":-1}}'],
    ['a member twice', '{"SignedEntryTimestamp":"AAAA","SignedEntryTimestamp":"AAAA"}'],
    ['deep nesting', '['.repeat(200)],
  ])('refuses %s as malformed', (_, json) => {
    expect(verifyRekorAnnotation(json, { ...signed, rekorKeys })).toMatchObject({
      failure: 'log-entry-malformed',
      message: expect.stringMatching(/^The sigstore bundle is not valid: .*\.$/),
    })
  })

  it('is not written of an entry without a promise', () => {
    const { promise: _, ...entry } = log.enter(BODIES.hashedrekord(parts))
    expect(() => encodeRekorAnnotation(entry)).toThrow('has no promise to be stored')
  })
})

describe('parseRekorKeys', () => {
  it('names a log by the SHA-256 of its key: the public log is the one that cosign trusts', () => {
    const id = 'c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d'
    expect([...publicRekorKeys().keys()]).toEqual([id])
  })

  it.each([
    ['nothing', '', 'The keys is not valid: it is empty.'],
    ['a key that signs no promises', pemOf(makeKey('ed25519')), 'with ECDSA'],
    ['RSA among others', `${pemOf(signer)}${pemOf(makeKey('rsa'))}`, '"rsa"'],
    [
      'a certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'it is a certificate',
    ],
    [
      'a broken second key',
      `${pemOf(signer)}-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n`,
      'block 2',
    ],
  ])('refuses %s', (_, pem, message) => {
    expect(() => parseRekorKeys(encodeUtf8(pem), 'The keys')).toThrow(
      expect.objectContaining({ code: 'INVALID_KEY', message: expect.stringContaining(message) }),
    )
  })

  it('refuses a file that is too large, however many keys are in it', () => {
    const many = pemOf(signer).repeat(1 + Math.ceil(LIMITS.keyBytes / pemOf(signer).length))
    expect(() => parseRekorKeys(encodeUtf8(many), 'The keys')).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE' }),
    )
  })
})
