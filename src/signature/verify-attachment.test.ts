import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  FIRST_MANIFEST,
  FIRST_PAYLOAD,
  FIRST_PUB,
  SECOND_PUB,
  SIGNED_DIGEST,
  SIGNED_REPOSITORY,
} from '../../test/fixtures/cosign-signatures.ts'
import { parsePublicKey } from '../keys/index.ts'
import { type Descriptor, digestOf } from '../oci/index.ts'
import { encodePayload, type UntrustedAttachment, verifyAttachment, wasPayloadChanged } from './index.ts'

const first = parsePublicKey(Buffer.from(FIRST_PUB), 'The first key')
const second = parsePublicKey(Buffer.from(SECOND_PUB), 'The second key')
const SIGNATURE: string =
  JSON.parse(FIRST_MANIFEST).layers[0].annotations['dev.cosignproject.cosign/signature']
const guest = { hash: 'key', stripNewlines: true } as const
const cosign = { hash: 'sha256', stripNewlines: true } as const

describe('verifyAttachment', () => {
  it('verifies what cosign 3.1.1 signed', () => {
    expect(verifyAttachment(attachment(FIRST_PAYLOAD, SIGNATURE), first, guest)).toMatchObject({
      dockerReference: SIGNED_REPOSITORY,
      manifestDigest: SIGNED_DIGEST,
    })
  })

  it.each([
    ['no annotation', undefined, 'no-signature-annotation', 'The layer has no signature annotation.'],
    ['text', 'no base64!', 'malformed-base64', 'The signature annotation is not base64.'],
    [
      'no padding',
      SIGNATURE.replace(/=+$/, ''),
      'malformed-base64',
      'The signature annotation is not base64.',
    ],
    ['nothing', '', 'signature-mismatch', `The key ${first.fingerprint} did not make this signature.`],
    ['junk', 'AAAA', 'signature-mismatch', `The key ${first.fingerprint} did not make this signature.`],
  ])('refuses %s', (_, signature, failure, message) => {
    expect(verifyAttachment(attachment(FIRST_PAYLOAD, signature), first, guest)).toEqual({ failure, message })
  })

  it('refuses another key and another payload', () => {
    expect(verifyAttachment(attachment(FIRST_PAYLOAD, SIGNATURE), second, guest)).toMatchObject({
      failure: 'signature-mismatch',
    })
    expect(verifyAttachment(attachment(`${FIRST_PAYLOAD} `, SIGNATURE), first, guest)).toMatchObject({
      failure: 'signature-mismatch',
    })
  })

  it('skips newlines in the annotation only where the rules say so', () => {
    const broken = attachment(FIRST_PAYLOAD, `${SIGNATURE.slice(0, 64)}\r\n${SIGNATURE.slice(64)}\n`)
    expect(verifyAttachment(broken, first, guest)).toMatchObject({ manifestDigest: SIGNED_DIGEST })
    expect(verifyAttachment(broken, first, { ...guest, stripNewlines: false })).toMatchObject({
      failure: 'malformed-base64',
    })
  })

  it('reads a payload only after its signature', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = parsePublicKey(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })), 'The key')
    const signed = attachment('{}', sign('sha256', Buffer.from('{}'), privateKey).toString('base64'))
    expect(verifyAttachment(signed, key, guest)).toEqual({
      failure: 'malformed-payload',
      message: 'The signed payload is not valid: critical is not an object.',
    })
    expect(verifyAttachment(signed, first, guest)).toMatchObject({ failure: 'signature-mismatch' })
  })

  it.each([
    ['P-384', 'sha256', 'signature-mismatch', 'verified'],
    ['P-384', 'sha384', 'verified', 'signature-mismatch'],
    ['P-521', 'sha256', 'unsupported-key', 'verified'],
  ])(
    'follows each verifier: %s over %s is %s in the guest, %s in cosign',
    (curve, hash, inGuest, inCosign) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve })
      const key = parsePublicKey(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })), 'The key')
      const signed = attachment(
        FIRST_PAYLOAD,
        sign(hash, Buffer.from(FIRST_PAYLOAD), privateKey).toString('base64'),
      )
      const outcomes = [guest, cosign].map((rules) => {
        const result = verifyAttachment(signed, key, rules)
        return 'failure' in result ? result.failure : 'verified'
      })
      expect(outcomes).toEqual([inGuest, inCosign])
    },
  )
})

describe('wasPayloadChanged', () => {
  const expected = encodePayload({ dockerReference: SIGNED_REPOSITORY, manifestDigest: SIGNED_DIGEST })
  const changed = FIRST_PAYLOAD.replace('team/app', 'evil/app')

  it.each([
    ['a payload that was changed', changed, SIGNATURE, first, true],
    ['a payload that was not', FIRST_PAYLOAD, SIGNATURE, first, false],
    ['another key', changed, SIGNATURE, second, false],
    ['no signature', changed, undefined, first, false],
    ['no base64', changed, '*', first, false],
  ])('tells %s', (_, payload, signature, key, answer) => {
    expect(wasPayloadChanged(attachment(payload, signature), key, expected)).toBe(answer)
  })
})

function attachment(payload: string, signature: string | undefined): UntrustedAttachment {
  const bytes = Buffer.from(payload)
  const descriptor: Descriptor = {
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    digest: digestOf(bytes),
    size: bytes.byteLength,
  }
  return { descriptor, payload: bytes, ...(signature === undefined ? {} : { signature }) }
}
