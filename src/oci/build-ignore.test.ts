import { describe, expect, it } from 'vitest'
import { parseIgnoreRules } from './build-ignore.ts'

/** Asks as a walk does, from the first folder down. */
function isIgnored(rules: string, path: string): boolean {
  const parsed = parseIgnoreRules(rules, '.dockerignore')
  const names = path.split('/')
  let judged = { ignored: false, state: [] as readonly boolean[] }
  for (let i = 1; i <= names.length; i += 1) judged = parsed.judge(names.slice(0, i).join('/'), judged.state)
  return judged.ignored
}

// The answers of moby/patternmatcher v0.6.
describe('parseIgnoreRules', () => {
  it.each<[string, string, boolean]>([
    ['**', 'dir/file', true],
    ['dir/**', 'dir/dir2/file', true],
    ['abc/**', 'abc', false],
    ['**/dir', 'x/dir/file', true],
    ['**/dir2/*', 'dir/dir2/file', true],
    ['**file', 'dir/afile', true],
    ['**/file', 'dir/afile', false],
    ['**/**/*.txt', 'file.txt', true],
    ['a**/*.txt', 'a/dir/dir/file.txt', true],
    ['a/*.txt', 'a/dir/file.txt', false],
    ['dir', 'dir/below/it', true],
    ['dir', 'other/dir', false],
    ['/dir', 'dir', true],
    ['./a/../dir/', 'dir', true],
    ['a[^b-d]e', 'aze', true],
    ['a[^b-d]e', 'ace', false],
    ['a?b', 'a☺b', true],
    ['a?b', 'a/b', false],
    ['[a-ζ]*', 'α', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'axb', false],
    ['a.|)$(}+{bc', 'a.|)$(}+{bc', true],
    ['# a', '# a', false],
    ['  spaces  ', 'spaces', true],
    ['\ufeffbom', 'bom', true],
    ['*\n!a/b', 'a/b/c', false],
    ['*\n!a/b\na/b/c', 'a/b/c', true],
    ['!a\na', 'a', true],
  ])('%j on %s: %s', (rules, path, expected) => {
    expect(isIgnored(rules, path)).toBe(expected)
  })

  it.each<[string, string]>([
    ['a\n!', '".dockerignore", line 2: "!" is not followed by a pattern.'],
    ['[', '"[" is not a pattern of file names.'],
    ['[a-', '"[a-" is not a pattern of file names.'],
    ['a\n[x-]', '"[x-]" is not a pattern of file names.'],
    ['[]a]', '"[]a]" is not a pattern of file names.'],
    ['a\\', '"a\\\\" is not a pattern of file names.'],
  ])('refuses %j', (rules, message) => {
    expect(() => parseIgnoreRules(rules, '.dockerignore')).toThrow(
      expect.objectContaining({ code: 'INVALID_IMAGE', message: expect.stringContaining(message) }),
    )
  })

  it('takes no time that a pattern could drive up', () => {
    const start = performance.now()
    expect(isIgnored(`${'*a'.repeat(80)}b`, 'a'.repeat(200))).toBe(false)
    expect(isIgnored(`${'**/a'.repeat(40)}b`, 'a/'.repeat(60))).toBe(false)
    expect(performance.now() - start).toBeLessThan(2000)
  })
})
