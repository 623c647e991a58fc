import { describe, expect, it } from 'vitest'
import { COMMANDS } from './commands.ts'
import { type CommandEntry, formatHelp, resolveRoute } from './router.ts'

const ENTRIES: readonly CommandEntry[] = ['sign', 'verify', 'key generate', 'key import', 'kbs serve'].map(
  (name) => ({ name, brief: `Does ${name}`, load: () => Promise.reject(new Error('not loaded here')) }),
)

function commandOf(...args: readonly string[]): unknown {
  const route = resolveRoute(ENTRIES, args)
  return route.kind === 'command' ? [route.command.name, ...route.args] : route
}

describe('resolveRoute', () => {
  it('finds a command by one word or two, and leaves it the rest', () => {
    expect(commandOf('sign')).toEqual(['sign'])
    expect(commandOf('sign', '--key', 'sign', 'help')).toEqual(['sign', '--key', 'sign', 'help'])
    expect(commandOf('key', 'generate', '--help')).toEqual(['key generate', '--help'])
  })

  it.each([[[]], [['--help']], [['-h']], [['help']]])('shows the overview for %j', (args) => {
    expect(resolveRoute(ENTRIES, args)).toEqual({ kind: 'help' })
  })

  it.each([[['key']], [['key', '--help']], [['key', '-h']], [['key', 'help']]])(
    'shows the verbs of a noun for %j',
    (args) => expect(resolveRoute(ENTRIES, args)).toEqual({ kind: 'help', noun: 'key' }),
  )

  it.each([[['--version']], [['version']]])('shows the version for %j', (args) => {
    expect(resolveRoute(ENTRIES, args)).toEqual({ kind: 'version' })
  })

  const UNKNOWN: [args: readonly string[], near: readonly string[], noun?: string][] = [
    [['sing'], ['sign']],
    [['veriy'], ['verify']],
    [['Sign'], ['sign']],
    [['kys'], ['key', 'kbs']],
    [['frobnicate'], []],
    [[''], []],
    [['__proto__'], []],
    [['sign key'], []],
    [['s'.repeat(1_000_000)], []],
    [['key', 'genrate'], ['key generate'], 'key'],
    [['key', 'serve'], [], 'key'],
    [['key', '--output'], [], 'key'],
  ]

  it.each(UNKNOWN)('knows no %j, and what may have been meant', (args, near, noun) => {
    expect(resolveRoute(ENTRIES, args)).toEqual({
      kind: 'unknown',
      given: args.join(' '),
      near,
      ...(noun === undefined ? {} : { noun }),
    })
  })
})

describe('formatHelp', () => {
  it('lists all commands, or the verbs of one noun', () => {
    const listed = (text: string) => [...text.matchAll(/^ {2}(.+?) +Does /gm)].map(([, name]) => name)
    expect(listed(formatHelp(ENTRIES))).toEqual(ENTRIES.map(({ name }) => name))
    expect(listed(formatHelp(ENTRIES, 'key'))).toEqual(['key generate', 'key import'])
  })

  it('keeps to lines that a terminal shows whole', () => {
    expect(
      Math.max(
        ...formatHelp(COMMANDS)
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(110)
  })
})

describe('COMMANDS', () => {
  it('are named once, by a verb or by a noun and a verb', () => {
    const names = COMMANDS.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[a-z]+(?: [a-z]+(?:-[a-z]+)*)?$/)
    // A verb that were a noun, too, would hide its own verbs.
    const nouns = new Set(names.filter((name) => name.includes(' ')).map((name) => name.split(' ')[0]))
    expect(names.filter((name) => nouns.has(name))).toEqual([])
  })
})
