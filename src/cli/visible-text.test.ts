import { describe, expect, it } from 'vitest'
import { visible, visibleJson } from './visible-text.ts'

// ESC, CSI as one character (C1), BEL, DEL, RIGHT-TO-LEFT OVERRIDE, ZERO WIDTH SPACE, LINE SEPARATOR, LANGUAGE TAG.
const EVIL = '\u001b\u009b\u0007\u007f\u202e\u200b\u2028\u{e0001}'
const ESCAPED = '\\u001b\\u009b\\u0007\\u007f\\u202e\\u200b\\u2028\\udb40\\udc01'

describe('visible', () => {
  it('escapes what a terminal obeys, and line breaks', () => {
    expect(visible(`a${EVIL}b`)).toBe(`a${ESCAPED}b`)
    expect(visible('a\r\nb\t')).toBe('a\\u000d\\u000ab\\u0009')
  })

  it('leaves every other letter', () => {
    expect(visible('Grüße, 世界 🚀 e\u0301')).toBe('Grüße, 世界 🚀 e\u0301')
  })
})

describe('visibleJson', () => {
  it('is JSON of the same value, with nothing in it that a terminal obeys', () => {
    const value = { [EVIL]: [EVIL, 'a\nb'] }
    for (const text of [visibleJson(value), visibleJson(value, 2)]) {
      expect(JSON.parse(text)).toEqual(value)
      expect(text).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/u)
    }
    expect(visibleJson(value)).not.toContain('\n')
  })
})
