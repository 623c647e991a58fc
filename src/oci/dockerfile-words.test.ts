import { describe, expect, it } from 'vitest'
import { expandWord, expandWords, splitWords } from './dockerfile-words.ts'

const VARIABLES: Readonly<Record<string, string>> = {
  PWD: '/home',
  EMPTY: '',
  BLANKS: ' ab  c ',
  한: '국',
}

const rules = {
  escapeToken: '\\',
  variable: (name: string) => VARIABLES[name],
  fail: (reason: string): never => {
    throw new Error(reason)
  },
} as const

// The results of BuildKit v0.26 (frontend/dockerfile/shell), which follows POSIX shells in most of this.
describe('expandWord', () => {
  it.each<[string, string]>([
    ["he'll'o", 'hello'],
    [String.raw`he\'llo`, "he'llo"],
    [String.raw`abc\tdef`, 'abctdef'],
    [String.raw`"abc\tdef"`, String.raw`abc\tdef`],
    [String.raw`'abc\\tdef'`, String.raw`abc\\tdef`],
    [String.raw`"a\"b\$c\\"`, 'a"b$c\\'],
    ['hello\\', 'hello'],
    [`"''"`, "''"],
    ['$', '$'],
    ['$.', '$.'],
    ['he$1x', 'hex'],
    ['he$PWD.', 'he/home.'],
    ['$PWDx', ''],
    ['$' + '{PWD}x', '/homex'],
    [String.raw`\$PWD`, '$PWD'],
    [`'$PWD'`, '$PWD'],
    ['"$PWD"', '/home'],
    ['$한', '국'],
    ['<$' + '{UNSET:-$' + '{PWD}}>', '</home>'],
    ['$' + '{EMPTY-x}', ''],
    ['$' + '{EMPTY:-x}', 'x'],
    ['$' + '{EMPTY+x}', 'x'],
    ['$' + '{EMPTY:+x}', ''],
    ['$' + `{UNSET:-"a b"'}'}`, 'a b}'],
    ['$' + '{PWD:?gone}', '/home'],
    ['$BLANKS', ' ab  c '],
    ['$*$@$#', ''],
  ])('expands %s to %s', (word, expected) => {
    expect(expandWord(word, rules)).toBe(expected)
  })

  it.each<[string, string]>([
    ["'open", 'a single quote in it is not closed'],
    ['"open', 'a double quote in it is not closed'],
    ['$' + '{PWD', 'a brace behind a "$" in it is not closed'],
    ['$' + '{PWD:-x', 'a brace behind a "$" in it is not closed'],
    ['$' + '{}', 'a "$" in it is not followed by the name of a variable'],
    ['$' + '{{PWD}', 'a "$" in it is not followed by the name of a variable'],
    ['$' + '{PWD%x}', '"$' + '{PWD%" is not one of the known ways to expand it'],
    ['$' + '{PWD:=x}', '"$' + '{PWD:=" is not one of the known ways to expand it'],
    ['$' + '{UNSET?}', 'UNSET is not set'],
    ['$' + '{EMPTY:?say it}', 'EMPTY is not set: say it'],
    [('$' + '{U:-').repeat(5000), 'variables in it are nested too deeply'],
  ])('refuses %s', (word, reason) => {
    expect(() => expandWord(word, rules)).toThrow(reason)
  })

  it('stops where variables grow without end', () => {
    const variable = (): string => 'x'.repeat(40_000)
    expect(() => expandWord('$a$a', { ...rules, variable })).toThrow(
      'it expands to more than 65536 characters',
    )
  })

  it('takes the escape character of the file', () => {
    expect(expandWord('a`$PWD\\b', { ...rules, escapeToken: '`' })).toBe('a$PWD\\b')
  })
})

describe('expandWords', () => {
  it.each<[string, string[]]>([
    ['$BLANKS', ['ab', 'c']],
    ['x$BLANKS$BLANKS', ['x', 'ab', 'c', 'ab', 'c']],
    ['"$BLANKS"', [' ab  c ']],
    [String.raw`a\ b c`, ['a b', 'c']],
    ['""', []],
  ])('splits %s', (word, expected) => {
    expect(expandWords(word, rules)).toEqual(expected)
  })
})

describe('splitWords', () => {
  it.each<[string, string[]]>([
    ['a=1  b="x y"\tc=\'z "z\'', ['a=1', 'b="x y"', `c='z "z'`]],
    [String.raw`a=x\ y b`, [String.raw`a=x\ y`, 'b']],
    [String.raw`a="\" " b`, [String.raw`a="\" "`, 'b']],
    [String.raw`a='\' b`, [String.raw`a='\'`, 'b']],
    ['""', ['""']],
    ['a\\', ['a']],
  ])('splits %s', (text, expected) => {
    expect(splitWords(text, '\\')).toEqual(expected)
  })
})
