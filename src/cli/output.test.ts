import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse, parseDocument } from 'yaml'
import type { JsonValue } from '../core/index.ts'
import { formatOutcome } from './output.ts'

const json = fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }).filter(isPlain) as fc.Arbitrary<JsonValue>

describe('formatOutcome', () => {
  it('writes JSON that reads back the same', () => {
    fc.assert(
      fc.property(json, (data) => {
        expect(JSON.parse(formatOutcome({ data, text: '' }, 'json'))).toEqual(data)
      }),
    )
  })

  it.each(['1.1', '1.2'] as const)('writes YAML that a reader of YAML %s reads back the same', (version) => {
    fc.assert(
      fc.property(json, (data) => {
        const document = parseDocument(formatOutcome({ data, text: '' }, 'yaml'), { version })
        expect([document.errors, document.warnings]).toEqual([[], []])
        expect(document.toJS()).toEqual(data)
      }),
    )
  })

  const TEXTS = ['', ' ', 'no', 'null', '~', '1', '0x1', '1e3', '12:30', '- a', 'a: b', '# c', '"', "'", '\\']
  const ODD = [
    '\n',
    'a\nb\n',
    '\t',
    '\u0000',
    '\u007f',
    '\u0085',
    '\u2028',
    '\ufeff',
    '---',
    '...',
    '<<',
    '!t',
  ]

  it.each([...TEXTS, ...ODD])('keeps the text %j as key and value of YAML', (text) => {
    const data = { [text]: [text, { [text]: text }] }
    expect(parse(formatOutcome({ data, text: '' }, 'yaml'), { merge: true, version: '1.1' })).toEqual(data)
  })

  it('nests lists and maps readably', () => {
    const data = { a: [{ b: 1, c: [] }, [true, null]], d: {} }
    expect(formatOutcome({ data, text: '' }, 'yaml')).toBe(
      'a:\n  - b: 1\n    c: []\n  - - true\n    - null\nd: {}\n',
    )
  })

  it('ends a text with one line break, and prints nothing for none', () => {
    expect(formatOutcome({ data: 1, text: 'a\nb' }, 'text')).toBe('a\nb\n')
    expect(formatOutcome({ data: 1, text: '' }, 'text')).toBe('')
  })
})

/** JSON cannot tell -0 from 0, and an own `__proto__` is no member of a plain object for all readers. */
function isPlain(value: unknown): boolean {
  return !JSON.stringify(value).includes('__proto__') && !hasNegativeZero(value)
}

function hasNegativeZero(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return Object.is(value, -0)
  return Object.values(value).some(hasNegativeZero)
}
