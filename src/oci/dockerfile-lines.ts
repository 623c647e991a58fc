import { CosignetError, LIMITS, quote } from '../core/index.ts'
import { SPACE } from './dockerfile-words.ts'

/** One instruction as it stands in a Dockerfile, its continued lines joined. */
export interface DockerfileLine {
  /** The line on which it begins, from 1. */
  readonly line: number
  /** In upper case. */
  readonly instruction: string
  /** `--name=value` words before its arguments, without quotes. */
  readonly flags: readonly string[]
  /** What follows them, trimmed. */
  readonly rest: string
  /** All of it, trimmed. */
  readonly text: string
}

export interface DockerfileLines {
  readonly escapeToken: '\\' | '`'
  readonly lines: readonly DockerfileLine[]
}

/** Makes the error for a place in a Dockerfile. */
export type FailAt = (line: number, reason: string) => CosignetError

const BLANKS = /[\t\v\f\r ]+/
const LEADING_SPACE = new RegExp(`^${SPACE}+`)
const IS_SPACE = new RegExp(SPACE)
const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+)$/
const DIRECTIVES: ReadonlySet<string> = new Set(['syntax', 'escape', 'check'])

/**
 * Splits a Dockerfile into its instructions, as BuildKit does (frontend/dockerfile/parser): parser directives on top,
 * comments and empty lines left out, lines joined where the escape character ends one. What `# syntax=` names is not
 * looked at.
 * @param name names the file in messages.
 * @throws TOO_LARGE; INVALID_IMAGE for a broken directive, and for a file without an instruction
 */
export function readDockerfileLines(text: string, name: string, fail: FailAt): DockerfileLines {
  if (text.length > LIMITS.dockerfileBytes) {
    throw new CosignetError(
      'TOO_LARGE',
      `${quote(name)} is longer than the limit of ${LIMITS.dockerfileBytes} characters.`,
    )
  }
  const raw = text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line) => trimEnd(line, /\r/))
  const escapeToken = readEscape(raw, fail)
  const lines: DockerfileLine[] = []
  for (let i = 0; i < raw.length; i += 1) {
    const start = i
    let { part, continues } = cutContinuation(trimStart(raw[i] ?? ''), escapeToken)
    if (part.startsWith('#') || (part === '' && !continues)) continue
    const parts = [part]
    while (continues && i + 1 < raw.length) {
      i += 1
      const next = raw[i] ?? ''
      if (/^(?:#|$)/.test(trimStart(next))) continue
      ;({ part, continues } = cutContinuation(next, escapeToken))
      parts.push(part)
    }
    lines.push(splitInstruction(parts.join(''), start + 1, escapeToken))
    if (lines.length > LIMITS.dockerfileInstructions) {
      throw new CosignetError(
        'TOO_LARGE',
        `${quote(name)} has more than the limit of ${LIMITS.dockerfileInstructions} instructions.`,
      )
    }
  }
  if (lines.length === 0) {
    throw new CosignetError('INVALID_IMAGE', `${quote(name)} has no instruction.`)
  }
  return { escapeToken, lines }
}

/** Removes white space at both ends, as Go's `strings.TrimSpace` does. */
export function trimSpace(text: string): string {
  return trimEnd(trimStart(text), IS_SPACE)
}

/** Takes one character after the other, where a pattern for all would look again from each of them. */
function trimEnd(text: string, trimmed: RegExp): string {
  let end = text.length
  while (end > 0 && trimmed.test(text.charAt(end - 1))) end -= 1
  return text.slice(0, end)
}

function trimStart(text: string): string {
  return text.replace(LEADING_SPACE, '')
}

/** Directives stand before everything else; the first line that is none ends them. */
function readEscape(lines: readonly string[], fail: FailAt): '\\' | '`' {
  const seen = new Set<string>()
  let escapeToken: '\\' | '`' = '\\'
  for (const [i, line] of lines.entries()) {
    const comment = trimStart(line)
    const match = comment.startsWith('#') ? DIRECTIVE.exec(trimSpace(comment.slice(1))) : null
    const directive = match?.[1]?.toLowerCase() ?? ''
    if (!DIRECTIVES.has(directive)) return escapeToken
    if (seen.has(directive)) throw fail(i + 1, `the parser directive ${directive} is there twice`)
    seen.add(directive)
    const value = match?.[2] ?? ''
    if (directive !== 'escape') continue
    if (value !== '\\' && value !== '`') throw fail(i + 1, `${quote(value)} cannot be the escape character`)
    escapeToken = value
  }
  return escapeToken
}

/** An escape character ends a line that goes on in the next, unless another stands before it. */
function cutContinuation(line: string, escapeToken: string): { part: string; continues: boolean } {
  const end = trimEnd(line, /[ \t]/)
  const continues = end.endsWith(escapeToken) && !end.endsWith(`${escapeToken}${escapeToken}`)
  return continues ? { part: end.slice(0, -1), continues } : { part: line, continues }
}

function splitInstruction(joined: string, line: number, escapeToken: string): DockerfileLine {
  const text = trimSpace(joined)
  const blank = BLANKS.exec(text)
  if (blank === null) return { line, instruction: text.toUpperCase(), flags: [], rest: '', text }
  const { flags, rest } = splitFlags(text.slice(blank.index + blank[0].length), escapeToken)
  return {
    line,
    instruction: text.slice(0, blank.index).toUpperCase(),
    flags,
    rest: trimSpace(rest),
    text,
  }
}

/** Takes words that begin with `--` from the front, up to `--` alone; quotes around their parts are taken away. */
function splitFlags(text: string, escapeToken: string): { flags: readonly string[]; rest: string } {
  const flags: string[] = []
  let rest = trimStart(text)
  while (rest.startsWith('--')) {
    const { word, length } = readFlag(rest, escapeToken)
    rest = trimStart(rest.slice(length))
    if (word === '--') break
    flags.push(word)
  }
  return { flags, rest }
}

function readFlag(text: string, escapeToken: string): { word: string; length: number } {
  let word = ''
  let quoted = ''
  let i = 0
  for (; i < text.length; i += 1) {
    const character = text[i] ?? ''
    if (character === escapeToken) {
      i += 1
      word += text[i] ?? ''
    } else if (quoted === '' && IS_SPACE.test(character)) {
      break
    } else if (character === quoted) {
      quoted = ''
    } else if (quoted === '' && (character === '"' || character === "'")) {
      quoted = character
    } else {
      word += character
    }
  }
  return { word, length: Math.min(i, text.length) }
}
