import { describe, expect, it } from 'vitest'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { parsePolicy } from './parse-policy.ts'
import type { Requirement } from './policy.ts'

const parse = (text: string) => parsePolicy(encodeUtf8(text), 'The policy')
/** The one requirement in a policy of it alone. */
const requirement = (json: string): Requirement | undefined =>
  parse(`{"default":[${json}],"transports":{}}`).default[0]

describe('parsePolicy', () => {
  it('reads scopes of transports, in whatever order the document is', () => {
    const policy = parse(`{
      "transports": {"docker": {"": [{"type": "reject"}], "ghcr.io/a": []}, "dir": {}},
      "default": [{"type": "insecureAcceptAnything"}, {"type": "reject"}]
    }`)
    expect(policy.default).toEqual([{ type: 'insecureAcceptAnything' }, { type: 'reject' }])
    expect([...policy.transports.keys()]).toEqual(['docker', 'dir'])
    expect(policy.transports.get('docker')).toEqual(
      new Map([
        ['', [{ type: 'reject' }]],
        ['ghcr.io/a', []],
      ]),
    )
  })

  it.each<[string, Requirement]>([
    ['{"type":"sigstoreSigned"}', { type: 'sigstoreSigned' }],
    ['{"keyPath":"/k","type":"sigstoreSigned"}', { type: 'sigstoreSigned', keyPath: '/k' }],
    [
      '{"type":"sigstoreSigned","keyPath":null,"keyData":null,"signedIdentity":null}',
      { type: 'sigstoreSigned' },
    ],
    [
      '{"type":"sigstoreSigned","keyPath":"","keyData":"x"}',
      { type: 'sigstoreSigned', keyPath: '', keyData: 'x' },
    ],
    [
      '{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}',
      { type: 'signedBy', keyType: 'GPGKeys', keyPath: '/k' },
    ],
    ['{"type":"signedBy","keyType":"any text"}', { type: 'signedBy', keyType: 'any text' }],
    // Unknown members are not looked at, whatever they hold, even if they occur twice or belong elsewhere.
    ['{"type":"reject","keyPath":1,"keyPath":2,"signedIdentity":{"type":"nonsense"}}', { type: 'reject' }],
    [
      '{"type":"sigstoreSigned","keyType":1,"keyType":2,"rekorPublicKeyPath":"/r"}',
      { type: 'sigstoreSigned' },
    ],
    ['{"type":"sigstoreSigned","keypath":"/k","KeyPath":"/k"}', { type: 'sigstoreSigned' }],
    ['{"\\u0074ype":"reject"}', { type: 'reject' }],
  ])('reads the requirement %s', (json, expected) => {
    expect(requirement(json)).toEqual(expected)
  })

  it.each([
    ['{"type":"matchExact"}', { type: 'matchExact' }],
    ['{"type":"matchRepoDigestOrExact","x":[]}', { type: 'matchRepoDigestOrExact' }],
    ['{"type":"matchRepository","dockerReference":1}', { type: 'matchRepository' }],
    ['{"type":"exactReference","dockerReference":"a"}', { type: 'exactReference', dockerReference: 'a' }],
    ['{"type":"exactRepository","dockerRepository":""}', { type: 'exactRepository', dockerRepository: '' }],
    [
      '{"type":"remapIdentity","prefix":"a","signedPrefix":"b"}',
      { type: 'remapIdentity', prefix: 'a', signedPrefix: 'b' },
    ],
  ])('reads the identity %s', (json, expected) => {
    expect(requirement(`{"type":"sigstoreSigned","signedIdentity":${json}}`)).toEqual({
      type: 'sigstoreSigned',
      signedIdentity: expected,
    })
  })

  it('lets the last of two scopes or transports with one name win, and still reads the first', () => {
    const scopes = parse(
      '{"default":[],"transports":{"docker":{"a":[{"type":"reject"}],"a":[{"type":"insecureAcceptAnything"}]}}}',
    )
    expect(scopes.transports.get('docker')?.get('a')).toEqual([{ type: 'insecureAcceptAnything' }])
    const transports = parse('{"default":[],"transports":{"docker":{"a":[]},"docker":{"b":[]}}}')
    expect([...(transports.transports.get('docker')?.keys() ?? [])]).toEqual(['b'])
    expect(() => parse('{"default":[],"transports":{"docker":{"a":[{"type":"x"}],"a":[]}}}')).toThrow(
      'the requirement type "x" is unknown',
    )
  })

  it('keeps names that mean something to JavaScript as mere names', () => {
    const policy = parse(
      '{"default":[],"__proto__":1,"transports":{"__proto__":{"__proto__":[{"type":"reject"}]},"constructor":{}}}',
    )
    expect([...policy.transports.keys()]).toEqual(['__proto__', 'constructor'])
    expect(policy.transports.get('__proto__')?.get('__proto__')).toEqual([{ type: 'reject' }])
    expect(policy.transports.get('docker')).toBeUndefined()
    expect(() => parse('{"__proto__":{"default":[],"transports":{}}}')).toThrow('"default" is missing')
  })

  it.each<[string, string, string]>([
    ['{}', 'INVALID_POLICY', 'in the root, the field "default" is missing'],
    ['{"default":[{"type":"reject"}]}', 'INVALID_POLICY', 'the field "transports" is missing'],
    ['{"transports":{}}', 'INVALID_POLICY', 'the field "default" is missing'],
    ['{"default":null,"transports":{}}', 'INVALID_POLICY', 'in default, a list is expected'],
    ['{"default":{},"transports":{}}', 'INVALID_POLICY', 'a list is expected'],
    ['{"default":[],"transports":null}', 'INVALID_POLICY', 'in transports, an object is expected'],
    ['{"default":[],"transports":[]}', 'INVALID_POLICY', 'an object is expected'],
    ['{"default":[],"transports":{"docker":[]}}', 'INVALID_POLICY', 'an object is expected'],
    ['{"default":[],"transports":{"docker":{"a":{}}}}', 'INVALID_POLICY', 'a list is expected'],
    ['{"default":[],"transports":{"dir":{"a":[{"type":"x"}]}}}', 'INVALID_POLICY', 'type "x" is unknown'],
    ['{"default":[],"default":[],"transports":{}}', 'INVALID_POLICY', '"default" is given twice'],
    ['{"default":[],"transports":{},"transports":{}}', 'INVALID_POLICY', '"transports" is given twice'],
    ['{"default":["reject"],"transports":{}}', 'INVALID_POLICY', 'an object is expected'],
    ['{"default":[null],"transports":{}}', 'INVALID_POLICY', 'an object is expected'],
    ['"x"', 'INVALID_POLICY', 'an object is expected'],
    ['[[{"type":"reject"}],{}]', 'UNSUPPORTED', 'a list where the root must be an object'],
    ['{"default":[["reject"]],"transports":{}}', 'UNSUPPORTED', 'a list where default[0] must be'],
    ['', 'INVALID_JSON', 'line 1, column 1'],
    ['{"default":[],"transports":{}} x', 'INVALID_JSON', 'nothing after the value expected'],
    ['{"default":[],"transports":{}}{}', 'INVALID_JSON', 'nothing after the value expected'],
    ['\ufeff{"default":[],"transports":{}}', 'INVALID_JSON', 'line 1, column 1: a value expected'],
    ['{"default":[],"transports":{},}', 'INVALID_JSON', 'a key in double quotes expected'],
    ['{"default":[],/**/"transports":{}}', 'INVALID_JSON', 'a key in double quotes expected'],
    ["{'default':[],'transports':{}}", 'INVALID_JSON', 'a key in double quotes expected'],
    [`{"default":[],"transports":{},"x":${'['.repeat(10_000)}`, 'INVALID_JSON', 'nested deeper than 127'],
  ])('refuses %.60s', (text, code, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it.each<[string, string, string]>([
    ['{}', 'INVALID_POLICY', 'the field "type" is missing'],
    ['{"type":null}', 'INVALID_POLICY', 'a string is expected'],
    ['{"type":1}', 'INVALID_POLICY', 'a string is expected'],
    ['{"type":"Reject"}', 'INVALID_POLICY', 'the requirement type "Reject" is unknown'],
    ['{"type":"signedBaseLayer"}', 'INVALID_POLICY', 'unknown'],
    ['{"type":"reject","type":"insecureAcceptAnything"}', 'INVALID_POLICY', '"type" is given twice'],
    ['{"type":"sigstoreSigned","keyPath":1}', 'INVALID_POLICY', 'in default[0].keyPath, a string'],
    ['{"type":"sigstoreSigned","keyPath":["/k"]}', 'INVALID_POLICY', 'a string is expected'],
    ['{"type":"sigstoreSigned","keyPath":"/k","keyPath":"/k"}', 'INVALID_POLICY', '"keyPath" is given twice'],
    ['{"type":"sigstoreSigned","keyPath":null,"keyPath":"/k"}', 'INVALID_POLICY', '"keyPath" is given twice'],
    ['{"type":"signedBy","keyPath":"/k"}', 'INVALID_POLICY', '"keyType" is missing'],
    ['{"type":"signedBy","keyType":null}', 'INVALID_POLICY', 'a string is expected'],
    ['{"type":"signedBy","keyType":"a","keyType":"a"}', 'INVALID_POLICY', '"keyType" is given twice'],
    ['{"type":"sigstoreSigned","signedIdentity":"matchExact"}', 'INVALID_POLICY', 'an object is expected'],
    ['{"type":"sigstoreSigned","signedIdentity":{}}', 'INVALID_POLICY', '"type" is missing'],
    ['{"type":"sigstoreSigned","signedIdentity":{"type":"x"}}', 'INVALID_POLICY', 'type "x" is unknown'],
    ['{"type":"sigstoreSigned","signedIdentity":{"type":-1}}', 'INVALID_POLICY', 'a string is expected'],
    // serde reads a number here as the index of a type: 2 is matchRepository.
    ['{"type":"sigstoreSigned","signedIdentity":{"type":2}}', 'UNSUPPORTED', 'index of a type'],
    ['{"type":"sigstoreSigned","signedIdentity":["matchExact"]}', 'UNSUPPORTED', 'a list where'],
    [
      '{"type":"sigstoreSigned","signedIdentity":{"type":"exactReference"}}',
      'INVALID_POLICY',
      '"dockerReference" is',
    ],
    [
      '{"type":"sigstoreSigned","signedIdentity":{"type":"exactRepository","dockerRepository":null}}',
      'INVALID_POLICY',
      'a string is expected',
    ],
    [
      '{"type":"sigstoreSigned","signedIdentity":{"type":"remapIdentity","prefix":"a"}}',
      'INVALID_POLICY',
      '"signedPrefix" is missing',
    ],
    ['{"type":"reject","x":1e999}', 'INVALID_JSON', 'a number that a double can hold expected'],
  ])('refuses the requirement %s', (json, code, message) => {
    expect(() => requirement(json)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it('refuses bytes that are not UTF-8, and more than the limit before it reads them', () => {
    const bad = Buffer.from([...encodeUtf8('{"default":[],"transports":{},"x":"'), 0xff, 0x22, 0x7d])
    expect(() => parsePolicy(bad, 'The policy')).toThrow('The policy is not UTF-8 text.')
    const huge = new Uint8Array(LIMITS.policyBytes + 1)
    expect(() => parsePolicy(huge, 'The policy')).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
  })

  it('nests as deep as serde_json does, and no deeper', () => {
    // Around the lists stand the policy, the list of requirements and the requirement itself.
    const nested = (lists: number) =>
      `{"default":[{"type":"reject","x":${'['.repeat(lists)}${']'.repeat(lists)}}],"transports":{}}`
    expect(parse(nested(127 - 3)).default).toEqual([{ type: 'reject' }])
    expect(() => parse(nested(128 - 3))).toThrow('nested deeper than 127 levels')
  })
})
