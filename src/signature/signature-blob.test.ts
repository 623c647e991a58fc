import { describe, expect, it } from 'vitest'
import { LIMITS } from '../core/index.ts'
import { decodeSignatureBlob, encodeSignatureBlob } from './signature-blob.ts'

const MAGIC = Buffer.concat([Buffer.from([0]), Buffer.from('sigstore-json\n')])

// The framing of containers/image, internal/signature/signature.go and sigstore.go.
const JSON_TEXT =
  '{"mimeType":"application/vnd.dev.cosign.simplesigning.v1+json","payload":"eyJhIjoxfQ==",' +
  '"annotations":{"dev.cosignproject.cosign/signature":"c2ln"}}'

describe('decodeSignatureBlob', () => {
  it('reads a sigstore signature', () => {
    expect(decodeSignatureBlob(Buffer.concat([MAGIC, Buffer.from(JSON_TEXT)]), 'It')).toEqual({
      kind: 'sigstore',
      mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
      payload: Buffer.from('{"a":1}'),
      annotations: { 'dev.cosignproject.cosign/signature': 'c2ln' },
    })
  })

  it('reads null for no annotations, as Go writes an empty map', () => {
    const text = '{"mimeType":"a/b","payload":"","annotations":null}'
    expect(decodeSignatureBlob(Buffer.concat([MAGIC, Buffer.from(text)]), 'It')).toMatchObject({
      annotations: {},
    })
  })

  it.each([0xa0, 0xa3, 0xc8, 0x90, 0xc4, 0x88, 0xc2])('takes what begins with %s for OpenPGP', (first) => {
    const bytes = Buffer.from([first, 1, 2])
    expect(decodeSignatureBlob(bytes, 'It')).toEqual({ kind: 'openpgp', bytes })
  })

  it.each([
    ['nothing', Buffer.alloc(0), 'INVALID_SIGNATURE'],
    ['armored OpenPGP', Buffer.from('-----BEGIN PGP MESSAGE-----'), 'INVALID_SIGNATURE'],
    ['half of the magic', MAGIC.subarray(0, 8), 'INVALID_SIGNATURE'],
    ['no JSON', Buffer.concat([MAGIC, Buffer.from('{')]), 'INVALID_JSON'],
    ['a list', Buffer.concat([MAGIC, Buffer.from('[]')]), 'INVALID_SIGNATURE'],
    ['null', Buffer.concat([MAGIC, Buffer.from('null')]), 'INVALID_SIGNATURE'],
    ['no payload', Buffer.concat([MAGIC, Buffer.from('{"mimeType":"a/b"}')]), 'INVALID_SIGNATURE'],
    [
      'a payload that is not base64',
      Buffer.concat([MAGIC, Buffer.from('{"mimeType":"a/b","payload":"!"}')]),
      'INVALID_BASE64',
    ],
    [
      'annotations that are no strings',
      Buffer.concat([MAGIC, Buffer.from('{"mimeType":"a/b","payload":"","annotations":{"a":1}}')]),
      'INVALID_SIGNATURE',
    ],
    [
      'more than a payload may have (CVE-2020-1702)',
      Buffer.alloc(LIMITS.payloadBytes + 1, 0xa3),
      'TOO_LARGE',
    ],
  ])('refuses %s', (_what, bytes, code) => {
    expect(() => decodeSignatureBlob(bytes, 'It')).toThrowError(expect.objectContaining({ code }))
  })
})

describe('encodeSignatureBlob', () => {
  it('writes what containers/image writes', () => {
    const bytes = Buffer.concat([MAGIC, Buffer.from(JSON_TEXT)])
    expect(Buffer.from(encodeSignatureBlob(decodeSignatureBlob(bytes, 'It')))).toEqual(bytes)
  })
})
