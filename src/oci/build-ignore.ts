import { posix } from 'node:path'
import { CosignetError, LIMITS, quote } from '../core/index.ts'
import { compileGlob } from './build-glob.ts'
import { trimSpace } from './dockerfile-lines.ts'

interface IgnoreRule {
  /** `!`: what it matches is taken in again. */
  readonly exception: boolean
  readonly matches: (path: string) => boolean
}

/** Which rules matched a folder; they match all below it. */
export type IgnoreState = readonly boolean[]

/** What a `.dockerignore` says. */
export interface IgnoreRules {
  /** Whether something below an ignored folder may be taken in again. */
  readonly hasExceptions: boolean
  /**
   * Asks for a name of the context.
   * @param path from the context down, with `/`.
   * @param parent state of its folder; `[]` for a name in the context itself.
   */
  judge(path: string, parent: IgnoreState): { readonly ignored: boolean; readonly state: IgnoreState }
}

/**
 * Parses a `.dockerignore` as moby/patternmatcher reads it: Go patterns, `**` for any number of folders, `!` for
 * exceptions, the last rule that matches counts, `#` starts a comment line.
 * @param name names the file in messages.
 * @throws INVALID_IMAGE, TOO_LARGE
 */
export function parseIgnoreRules(text: string, name: string): IgnoreRules {
  if (text.length > LIMITS.dockerfileBytes) {
    throw new CosignetError(
      'TOO_LARGE',
      `${quote(name)} is longer than the limit of ${LIMITS.dockerfileBytes} characters.`,
    )
  }
  const lines = text.replace(/^\ufeff/, '').split('\n')
  const rules = lines.flatMap((line, i) => readRule(line, i + 1, name))
  return {
    hasExceptions: rules.some(({ exception }) => exception),
    judge: (path, parent) => {
      let ignored = false
      const state = rules.map(({ exception, matches }, i) => {
        const matched = parent[i] === true || (exception === ignored && matches(path))
        if (matched) ignored = !exception
        return matched
      })
      return { ignored, state }
    },
  }
}

function readRule(line: string, number: number, name: string): readonly IgnoreRule[] {
  const text = trimSpace(line)
  if (line.startsWith('#') || text === '') return []
  const exception = text.startsWith('!')
  const pattern = exception ? trimSpace(text.slice(1)) : text
  if (pattern === '') {
    throw new CosignetError(
      'INVALID_IMAGE',
      `${quote(name)}, line ${number}: "!" is not followed by a pattern.`,
    )
  }
  const clean = cleanPath(pattern)
  return [{ exception, matches: compileRule(clean.length > 1 ? clean.replace(/^\//, '') : clean) }]
}

/** Go's `filepath.Clean`. */
function cleanPath(path: string): string {
  const normal = posix.normalize(path)
  return normal.length > 1 ? normal.replace(/\/$/, '') : normal
}

function compileRule(pattern: string): (path: string) => boolean {
  // In front of plain text, `**` is any beginning and not only whole folders.
  const [, suffix] = /^\*\*([^/*?[\]\\][^*?[\]\\]*)$/.exec(pattern) ?? []
  return suffix === undefined ? compileGlob(pattern, true) : (path) => path.endsWith(suffix)
}
