import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from './bytes.ts'
import { canonicalJson, encodeGoString, type JsonNode, parseJson, parseJsonTree, positionAt } from './json.ts'
import { LIMITS } from './limits.ts'

const tree = (text: string): JsonNode => parseJsonTree(encodeUtf8(text), 'The text')
const value = (text: string) => parseJson(encodeUtf8(text), 'The text')

describe('parseJsonTree', () => {
  it('keeps order, duplicates, offsets and the text of numbers', () => {
    expect(tree(' {"b":1,"a":[null,true],"b":-0.50e+1} ')).toEqual({
      kind: 'object',
      offset: 1,
      members: [
        { key: 'b', offset: 2, value: { kind: 'number', offset: 6, value: 1, text: '1' } },
        {
          key: 'a',
          offset: 8,
          value: {
            kind: 'array',
            offset: 12,
            items: [
              { kind: 'null', offset: 13 },
              { kind: 'boolean', offset: 18, value: true },
            ],
          },
        },
        { key: 'b', offset: 24, value: { kind: 'number', offset: 28, value: -5, text: '-0.50e+1' } },
      ],
    })
    expect(tree('12345678901234567890')).toMatchObject({ text: '12345678901234567890' })
  })

  it('counts offsets in UTF-16 code units, as String.slice does', () => {
    const text = '{"😀é":"😀","x":0}'
    const node = tree(text)
    const offsets = node.kind === 'object' ? node.members.map((member) => member.offset) : []
    expect(offsets).toEqual([text.indexOf('"😀é"'), text.indexOf('"x"')])
  })

  it.each([
    ['"\\ud83d\\ude00"', '😀'],
    ['"\\u0000"', '\0'],
    ['"\\\\\\"\\/\\b\\f\\n\\r\\t"', '\\"/\b\f\n\r\t'],
    ['"\\\\"', '\\'],
    ['"\u007f\u2028"', '\u007f\u2028'],
  ])('reads the string %s', (text, expected) => {
    expect(tree(text)).toEqual({ kind: 'string', offset: 0, value: expected })
  })

  it.each([
    ['', 'line 1, column 1: a value expected'],
    ['\ufeff{}', 'line 1, column 1: a value expected'],
    ['{"a":1,\n "a" 2}', "line 2, column 6: ':' expected"],
    ['{"a":1,}', 'line 1, column 8: a key in double quotes expected'],
    ['{a:1}', 'line 1, column 2: a key in double quotes expected'],
    ['{"a":1', "line 1, column 7: ',' or '}' expected"],
    ['[1 2]', "line 1, column 4: ',' or ']' expected"],
    ['[1,]', 'line 1, column 4: a value expected'],
    ['[1]\n]', 'line 2, column 1: nothing after the value expected'],
    ['nul', 'line 1, column 1: a value expected'],
    ['nullx', 'nothing after the value expected'],
    ['NaN', 'a value expected'],
    ['-', 'a value expected'],
    ['+1', 'a value expected'],
    ['.5', 'a value expected'],
    ['01', 'line 1, column 2: nothing after the value expected'],
    ['1.', 'nothing after the value expected'],
    ['1e', 'nothing after the value expected'],
    ['0x1', 'nothing after the value expected'],
    ['[1e999]', 'line 1, column 2: a number that a double can hold expected'],
    ['-1e400', 'a number that a double can hold expected'],
    ['"', 'a valid string expected'],
    ['"\\"', 'a valid string expected'],
    ['"\n"', 'a valid string expected'],
    ['"\\x41"', 'a valid string expected'],
    ['"\\u12"', 'a valid string expected'],
    ['"\\ud800"', 'a valid string expected'],
    ['"\\ude00\\ud83d"', 'a valid string expected'],
    ["'a'", 'a value expected'],
    ['// a\n1', 'a value expected'],
    ['\u00a01', 'a value expected'],
  ])('refuses %j', (text, message) => {
    expect(() => tree(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_JSON', message: expect.stringContaining(message) }),
    )
  })

  it.each([
    ['a stray byte', [0x22, 0xff, 0x22]],
    ['an overlong form', [0x22, 0xc0, 0xaf, 0x22]],
    ['a surrogate in UTF-8', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00]],
  ])('refuses %s', (_, bytes) => {
    expect(() => parseJsonTree(Buffer.from(bytes), 'The text')).toThrow('The text is not UTF-8 text.')
  })

  it('nests to the limit and no level deeper, in lists, objects and both', () => {
    const pairs = [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const
    for (const [open, close] of pairs) {
      const nested = (levels: number) => `${open.repeat(levels)}0${close.repeat(levels)}`
      expect(() => tree(nested(LIMITS.jsonDepth))).not.toThrow()
      expect(() => tree(nested(LIMITS.jsonDepth + 1))).toThrow('nested deeper than 127 levels')
    }
    expect(() => tree('['.repeat(127) + ']'.repeat(127))).not.toThrow()
    expect(() => tree('['.repeat(128) + ']'.repeat(128))).toThrow('nested deeper')
    expect(() => tree('['.repeat(1_000_000))).toThrow('nested deeper')
  })

  it('reads a long string, and one of nothing but escapes, without recursion', () => {
    expect(tree(`"${'a'.repeat(3_000_000)}"`)).toMatchObject({ kind: 'string' })
    expect(tree(`"${'\\\\'.repeat(500_000)}"`)).toMatchObject({ value: '\\'.repeat(500_000) })
  })
})

describe('parseJson', () => {
  it('gives what JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(0, 1, '\t'), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent)
        expect(value(spaced)).toStrictEqual(JSON.parse(spaced))
        expect(value(text)).toStrictEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses what JSON.parse refuses, and never fails otherwise', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '1',
      '-',
      '.',
      'e',
      'true',
      'null',
      ' ',
      '\\',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        let expected: unknown
        try {
          expected = JSON.parse(text)
        } catch {
          expect(() => value(text)).toThrow(expect.objectContaining({ code: 'INVALID_JSON' }))
          return
        }
        const keys = text.match(/"[^"]*"(?= *:)/g) ?? []
        fc.pre(new Set(keys).size === keys.length)
        expect(value(text)).toStrictEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses a key that is given twice, however it is written', () => {
    expect(() => value('{"a":1,"b":{"c":1,"\\u0063":2}}')).toThrow(
      'The text has the key "c" twice in one object.',
    )
    expect(value('[{"a":1},{"a":2}]')).toEqual([{ a: 1 }, { a: 2 }])
  })

  it('makes an own member of __proto__', () => {
    const parsed = value('{"__proto__":{"admin":true}}')
    expect(Object.keys(parsed ?? {})).toEqual(['__proto__'])
    expect((parsed as { admin?: boolean }).admin).toBeUndefined()
  })
})

describe('positionAt', () => {
  it.each([
    ['', 0, 1, 1],
    ['ab', 1, 1, 2],
    ['a\nb', 1, 1, 2],
    ['a\nb', 2, 2, 1],
    ['a\r\n\nb', 4, 3, 1],
  ])('%j at %i is %i:%i', (text, offset, line, column) => {
    expect(positionAt(text, offset)).toEqual({ line, column })
  })
})

describe('encodeGoString', () => {
  // What json.Marshal of Go 1.26.8 writes.
  it.each([
    ['<b>&é', '"\\u003cb\\u003e\\u0026é"'],
    ['\u2028\u2029', '"\\u2028\\u2029"'],
    ['"\\/', '"\\"\\\\/"'],
    ['\b\f\n\r\t', '"\\b\\f\\n\\r\\t"'],
    ['\x00\x01\x1f\x7f', '"\\u0000\\u0001\\u001f\x7f"'],
    ['\u0080😀\ufeff', '"\u0080😀\ufeff"'],
  ])('writes %j as Go does', (text, expected) => {
    expect(encodeGoString(text)).toBe(expected)
  })
})

describe('canonicalJson', () => {
  it('sorts by UTF-16 code units (RFC 8785, section 3.2.3)', () => {
    const example = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    expect(canonicalJson(example)).toBe(
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis",' +
        '"\u20ac":"Euro Sign","\ud83d\ude00":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    )
  })

  it('writes strings and literals as section 3.2.2 has them', () => {
    const text = '\u20ac$\u000f\nA\'B"\\\\"/'
    expect(canonicalJson({ string: text, literals: [null, true, false] })).toBe(
      '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  it('writes integers, empty things and nested ones without white space', () => {
    expect(canonicalJson({ b: [{}, [], { d: 1, c: -2 }], a: 9007199254740991 })).toBe(
      '{"a":9007199254740991,"b":[{},[],{"c":-2,"d":1}]}',
    )
    expect(canonicalJson(-0)).toBe('0')
  })

  it('depends on the value alone, not on the order of members', () => {
    const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))
    fc.assert(
      fc.property(fc.dictionary(fc.string(), scalar, { noNullPrototype: true }), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse())
        expect(canonicalJson(reversed)).toBe(canonicalJson(object))
        expect(JSON.parse(canonicalJson(object))).toEqual(JSON.parse(JSON.stringify(object)))
      }),
    )
  })
})
