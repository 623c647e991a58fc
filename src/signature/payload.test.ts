import { describe, expect, it } from 'vitest'
import {
  FIRST_PAYLOAD,
  SECOND_ANNOTATIONS,
  SECOND_PAYLOAD,
  SIGNED_DIGEST,
  SIGNED_REPOSITORY,
} from '../../test/fixtures/cosign-signatures.ts'
import { LIMITS } from '../core/index.ts'
import { type Digest, parseReference } from '../oci/index.ts'
import { cosignRepositoryName, encodePayload, parsePayload, signatureTag } from './index.ts'

describe('encodePayload', () => {
  const content = { dockerReference: SIGNED_REPOSITORY, manifestDigest: SIGNED_DIGEST }

  it('writes the bytes of cosign', () => {
    expect(Buffer.from(encodePayload(content)).toString()).toBe(FIRST_PAYLOAD)
    expect(Buffer.from(encodePayload({ ...content, annotations: {} })).toString()).toBe(FIRST_PAYLOAD)
  })

  it('sorts and escapes annotations as cosign does', () => {
    const payload = encodePayload({ ...content, annotations: SECOND_ANNOTATIONS })
    expect(Buffer.from(payload).toString()).toBe(SECOND_PAYLOAD)
  })

  it('sorts by UTF-8 bytes, as Go does, not by UTF-16', () => {
    const text = Buffer.from(
      encodePayload({ ...content, annotations: { '😀': '', '\uffee': '' } }),
    ).toString()
    expect(text.endsWith('"optional":{"\uffee":"","😀":""}}')).toBe(true)
  })
})

describe('cosignRepositoryName', () => {
  it.each([
    ['busybox:1@' + SIGNED_DIGEST, 'index.docker.io/library/busybox'],
    ['docker.io/a/b', 'index.docker.io/a/b'],
    ['ghcr.io/a/b:v1', 'ghcr.io/a/b'],
    ['localhost:5000/a', 'localhost:5000/a'],
  ])('%s', (text, name) => {
    expect(cosignRepositoryName(parseReference(text))).toBe(name)
  })
})

describe('signatureTag', () => {
  it('follows the digest', () => {
    expect(signatureTag(`sha256:${'a'.repeat(64)}` as Digest)).toBe(`sha256-${'a'.repeat(64)}.sig`)
  })

  it('refuses what no registry takes as a tag', () => {
    expect(() => signatureTag(`sha512:${'a'.repeat(128)}` as Digest)).toThrow('cannot have a signature tag')
  })
})

const ID = '"identity":{"docker-reference":"r"}'
const IMAGE = '"image":{"docker-manifest-digest":"d"}'
const CRITICAL = `"critical":{${ID},${IMAGE},"type":"t"}`

describe('parsePayload', () => {
  it('reads what cosign wrote', () => {
    expect(parsePayload(Buffer.from(FIRST_PAYLOAD))).toEqual({
      dockerReference: SIGNED_REPOSITORY,
      manifestDigest: SIGNED_DIGEST,
      type: 'cosign container image signature',
    })
    const { optional } = parsePayload(Buffer.from(SECOND_PAYLOAD))
    expect(
      [...(optional?.extra ?? [])].map(([key, node]) => [key, 'value' in node ? node.value : node.kind]),
    ).toEqual([
      ['a', '1'],
      ['z', '<b>&é'],
    ])
  })

  it.each([
    ['no optional', `{${CRITICAL}}`, undefined],
    ['unknown members, even twice', `{"x":1,${CRITICAL},"x":{"critical":0}}`, undefined],
    ['unknown members within', `{"critical":{${ID},${IMAGE},"type":"t","more":[]}}`, undefined],
    ['white space', ` {\n${CRITICAL} , "optional" : null }\n`, undefined],
    ['an empty optional', `{${CRITICAL},"optional":{}}`, {}],
    [
      'creator and time of podman',
      `{${CRITICAL},"optional":{"creator":"atomic","timestamp":1795364257}}`,
      { creator: 'atomic', timestamp: 1795364257 },
    ],
    ['null in both', `{${CRITICAL},"optional":{"creator":null,"timestamp":null}}`, {}],
    ['a negative time', `{${CRITICAL},"optional":{"timestamp":-1}}`, { timestamp: -1 }],
    ['structs as lists', '[[["r"],["d"],"t"],null]', undefined],
  ])('takes %s, as the guest does', (_, text, optional) => {
    const payload = parsePayload(Buffer.from(text))
    expect(payload).toMatchObject({ dockerReference: 'r', manifestDigest: 'd', type: 't' })
    if (optional === undefined) expect(payload.optional).toBeUndefined()
    else expect({ ...payload.optional, extra: undefined }).toEqual({ ...optional, extra: undefined })
  })

  it.each([
    ['', 'it is not JSON: line 1, column 1: a value expected'],
    ['null', 'the document is not an object'],
    ['{}', 'critical is not an object'],
    [`{${CRITICAL},${CRITICAL}}`, 'the document has "critical" twice'],
    [`{${CRITICAL},"optional":null,"optional":null}`, 'the document has "optional" twice'],
    [`{"critical":{${ID},${IMAGE}}}`, 'critical.type is missing'],
    [`{"critical":{${ID},${IMAGE},"type":1}}`, 'critical.type is not a string'],
    [`{"critical":{${ID},${IMAGE},"type":"t","type":"t"}}`, 'critical has "type" twice'],
    [`{"critical":{${ID},"type":"t"}}`, 'critical.image is not an object'],
    [`{"critical":{"identity":{},${IMAGE},"type":"t"}}`, 'critical.identity.docker-reference is missing'],
    [`{"Critical":{${ID},${IMAGE},"type":"t"}}`, 'critical is not an object'],
    [`{${CRITICAL},"optional":[]}`, 'optional is not an object'],
    [`{${CRITICAL},"optional":"x"}`, 'optional is not an object'],
    [`{${CRITICAL},"optional":{"creator":1}}`, 'optional.creator is not a string'],
    [`{${CRITICAL},"optional":{"creator":"a","creator":"a"}}`, 'optional has "creator" twice'],
    [`{${CRITICAL},"optional":{"timestamp":1.5}}`, 'optional.timestamp is not an integer'],
    [`{${CRITICAL},"optional":{"timestamp":1e3}}`, 'optional.timestamp is not an integer'],
    [`{${CRITICAL},"optional":{"timestamp":-0}}`, 'optional.timestamp is not an integer'],
    [`{${CRITICAL},"optional":{"timestamp":"1"}}`, 'optional.timestamp is not an integer'],
    [
      `{${CRITICAL},"optional":{"timestamp":9223372036854775808}}`,
      'optional.timestamp is not a 64-bit integer',
    ],
    [
      `{${CRITICAL}}x`,
      `it is not JSON: line 1, column ${CRITICAL.length + 3}: nothing after the value expected`,
    ],
    ['[[["r"],["d"],"t"]]', 'the document is a list of 1, not of 2'],
    [Buffer.from([0x22, 0xff, 0x22]), 'it is not UTF-8 text'],
    [Buffer.alloc(1024 * 1024 + 1, ' '), 'it is larger than the limit of 1048576 bytes'],
    ['['.repeat(LIMITS.jsonDepth + 2), `it is nested deeper than ${LIMITS.jsonDepth} levels`],
  ])('refuses case %#', (text, reason) => {
    expect(() => parsePayload(Buffer.from(text))).toThrow(
      expect.objectContaining({
        code: 'INVALID_SIGNATURE',
        message: `The signed payload is not valid: ${reason}.`,
      }),
    )
  })
})
