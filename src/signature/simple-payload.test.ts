import { describe, expect, it } from 'vitest'
import { GPG_FIXTURE } from '../../test/fixtures/openpgp-gpg.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { parseDigest } from '../oci/index.ts'
import { encodeSimplePayload, parseSimplePayload } from './index.ts'

const DIGEST = parseDigest(`sha256:${'0123456789abcdef'.repeat(4)}`)
const CRITICAL =
  `{"identity":{"docker-reference":"registry.example/app:v1"},"image":{"docker-manifest-digest":"${DIGEST}"},` +
  '"type":"atomic container signature"}'

describe('encodeSimplePayload', () => {
  // `skopeo standalone-sign` of skopeo 1.22 wrote the same but for creator and time; so did the fixture's author.
  it('writes what containers/image writes', () => {
    const payload = encodeSimplePayload({
      dockerReference: 'registry.example/app:v1',
      manifestDigest: DIGEST,
      creator: 'gpg',
      timestamp: new Date(1735787045999),
    })
    expect(Buffer.from(payload).toString()).toBe(GPG_FIXTURE.payload)
  })

  it('writes an empty optional part', () => {
    const payload = encodeSimplePayload({ dockerReference: 'a<b>&c', manifestDigest: DIGEST })
    // Go, encoding/json: HTML characters are escaped.
    const critical = CRITICAL.replace('registry.example/app:v1', 'a\\u003cb\\u003e\\u0026c')
    expect(Buffer.from(payload).toString()).toBe(`{"critical":${critical},"optional":{}}`)
  })

  it('refuses to name nothing', () => {
    expect(() => encodeSimplePayload({ dockerReference: '', manifestDigest: DIGEST })).toThrow(
      expect.objectContaining({ code: 'INVALID_REFERENCE' }),
    )
  })
})

describe('parseSimplePayload', () => {
  it('reads what was written', () => {
    for (const reader of ['strict', 'guest'] as const) {
      expect(parseSimplePayload(encodeUtf8(GPG_FIXTURE.payload), reader)).toEqual({
        dockerReference: 'registry.example/app:v1',
        manifestDigest: DIGEST,
        type: 'atomic container signature',
        optional: { creator: 'gpg', timestamp: 1735787045, extra: new Map() },
      })
    }
  })

  // containers/image, signature/simple_test.go and internal/json.go; Go reads null into a string or number as nothing.
  it.each([
    ['with white space', ` {"critical": ${CRITICAL}, "optional": {} }\n`],
    ['with more in the optional part', `{"critical":${CRITICAL},"optional":{"x":[1,{"y":null}]}}`],
    ['with the parts in another order', `{"optional":{},"critical":${CRITICAL}}`],
    ['with a time of 1e3', `{"critical":${CRITICAL},"optional":{"timestamp":1e3}}`],
    [
      'with null for creator and time',
      `{"critical":${CRITICAL},"optional":{"creator":null,"timestamp":null}}`,
    ],
  ])('takes a payload %s', (_, text) => {
    expect(parseSimplePayload(encodeUtf8(text), 'strict')).toMatchObject({ manifestDigest: DIGEST })
  })

  const type = '"type":"atomic container signature"'
  const image = `"image":{"docker-manifest-digest":"${DIGEST}"}`
  const identity = '"identity":{"docker-reference":"a/b:c"}'
  const inner = (critical: string): string => `{"critical":{${critical}},"optional":{}}`
  it.each<[string, string, RegExp]>([
    ['nothing', '', /not valid/],
    ['a list', '[]', /the document is not an object/],
    ['null', 'null', /the document is not an object/],
    ['two documents', `{"critical":${CRITICAL},"optional":{}}{}`, /nothing after the value/],
    ['no critical part', '{"optional":{}}', /no "critical"/],
    ['no optional part', `{"critical":${CRITICAL}}`, /no "optional"/],
    ['null for the optional part', `{"critical":${CRITICAL},"optional":null}`, /optional is not an object/],
    ['an unknown part', `{"critical":${CRITICAL},"optional":{},"x":1}`, /unknown member "x"/],
    ['a part by another case', `{"Critical":${CRITICAL},"optional":{}}`, /unknown member "Critical"/],
    ['a part twice', `{"critical":${CRITICAL},"critical":${CRITICAL},"optional":{}}`, /"critical" twice/],
    ['no type', inner(`${image},${identity}`), /no "type"/],
    ['no image', inner(`${type},${identity}`), /no "image"/],
    ['no identity', inner(`${type},${image}`), /no "identity"/],
    ['an unknown critical member', inner(`${type},${image},${identity},"x":1`), /unknown member "x"/],
    [
      'the type of cosign',
      inner(`"type":"cosign container image signature",${image},${identity}`),
      /its type is/,
    ],
    ['null for the type', inner(`"type":null,${image},${identity}`), /its type is ""/],
    ['a number for the type', inner(`"type":1,${image},${identity}`), /type is not a string/],
    [
      'a path for a digest',
      inner(`${type},"image":{"docker-manifest-digest":"sha256:../x"},${identity}`),
      /digest/,
    ],
    ['more in the image', inner(`${type},"image":{"x":1},${identity}`), /unknown member "x"/],
    [
      'more in the identity',
      inner(`${type},${image},"identity":{"docker-reference":"a","x":1}`),
      /unknown member/,
    ],
    ['a list for the identity', inner(`${type},${image},"identity":["a"]`), /identity is not an object/],
    ['a time of 1.5', `{"critical":${CRITICAL},"optional":{"timestamp":1.5}}`, /timestamp is not an integer/],
    [
      'a time beyond int64',
      `{"critical":${CRITICAL},"optional":{"timestamp":1e300}}`,
      /timestamp is not an int/,
    ],
    [
      'a text for the time',
      `{"critical":${CRITICAL},"optional":{"timestamp":"1"}}`,
      /timestamp is not an integer/,
    ],
    [
      'a number for the creator',
      `{"critical":${CRITICAL},"optional":{"creator":1}}`,
      /creator is not a string/,
    ],
    [
      'the creator twice',
      `{"critical":${CRITICAL},"optional":{"creator":"a","creator":"b"}}`,
      /"creator" twice/,
    ],
    ['too much', ' '.repeat(LIMITS.payloadBytes + 1), /larger than the limit/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parseSimplePayload(encodeUtf8(text), 'strict')).toThrow(
      expect.objectContaining({ code: 'INVALID_SIGNATURE', message: expect.stringMatching(message) }),
    )
  })

  it('reads for the guest what only the guest takes', () => {
    const text = `{"critical":{${type.replace('atomic', 'any')},${image},${identity},"x":1},"y":2}`
    expect(parseSimplePayload(encodeUtf8(text), 'guest')).toMatchObject({ dockerReference: 'a/b:c' })
    expect(() => parseSimplePayload(encodeUtf8(text), 'strict')).toThrow(/unknown member/)
  })
})
