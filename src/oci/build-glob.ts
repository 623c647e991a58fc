import { CosignetError, quote } from '../core/index.ts'

type Token =
  | { readonly kind: 'one'; readonly matches: (character: string) => boolean }
  /** `*`: any number of characters of a name. */
  | { readonly kind: 'star' }
  /** `**` at the end: any number of characters. */
  | { readonly kind: 'rest' }
  /** `**` with something behind it: whole folders, or nothing. */
  | { readonly kind: 'folders' }

interface State {
  readonly token: number
  /** Within what `folders` has begun to take. */
  readonly inside: boolean
}

/**
 * Compiles a pattern of Go's `filepath.Match`: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a character. Takes time in
 * proportion to pattern and text, whatever the pattern.
 * @param doubleStar whether `**` stands for any number of folders, as in `.dockerignore` (moby/patternmatcher).
 * @throws INVALID_IMAGE for a pattern that Go refuses
 */
export function compileGlob(pattern: string, doubleStar: boolean): (text: string) => boolean {
  const tokens = tokenise(pattern, doubleStar)
  return (text) => matchTokens(tokens, text)
}

/** Whether Go's `filepath.Match` would take the text for a pattern. */
export function hasWildcard(text: string): boolean {
  return /[*?[]/.test(text.replace(/\\./gs, ''))
}

function tokenise(pattern: string, doubleStar: boolean): readonly Token[] {
  const characters = Array.from(pattern)
  const tokens: Token[] = []
  for (let i = 0; i < characters.length; ) {
    const character = characters[i] ?? ''
    if (character === '*' && doubleStar && characters[i + 1] === '*') {
      i += characters[i + 2] === '/' ? 3 : 2
      tokens.push({ kind: i < characters.length ? 'folders' : 'rest' })
    } else if (character === '*') {
      i += 1
      tokens.push({ kind: 'star' })
    } else if (character === '?') {
      i += 1
      tokens.push({ kind: 'one', matches: (other) => other !== '/' })
    } else if (character === '[') {
      const { end, matches } = readClass(characters, i + 1, pattern)
      i = end
      tokens.push({ kind: 'one', matches })
    } else {
      const at = character === '\\' ? i + 1 : i
      const literal = characters[at] ?? bad(pattern)
      i = at + 1
      tokens.push({ kind: 'one', matches: (other) => other === literal })
    }
  }
  return tokens
}

/** Reads a class behind its `[`. */
function readClass(
  characters: readonly string[],
  start: number,
  pattern: string,
): { end: number; matches: (character: string) => boolean } {
  const negated = characters[start] === '^'
  const ranges: (readonly [number, number])[] = []
  let i = negated ? start + 1 : start
  const take = (): number => {
    const first = characters[i]
    if (first === undefined || first === '-' || (first === ']' && ranges.length === 0)) bad(pattern)
    if (first === '\\') i += 1
    const code = characters[i]?.codePointAt(0) ?? bad(pattern)
    i += 1
    return code
  }
  while (characters[i] !== ']' || ranges.length === 0) {
    const low = take()
    if (characters[i] !== '-') {
      ranges.push([low, low])
      continue
    }
    i += 1
    ranges.push([low, take()])
  }
  return {
    end: i + 1,
    matches: (character) => {
      const code = character.codePointAt(0) ?? 0
      return ranges.some(([low, high]) => low <= code && code <= high) !== negated
    },
  }
}

function bad(pattern: string): never {
  throw new CosignetError('INVALID_IMAGE', `${quote(pattern)} is not a pattern of file names.`)
}

/** Follows all ways through the pattern at once. */
function matchTokens(tokens: readonly Token[], text: string): boolean {
  let states = close(tokens, [{ token: 0, inside: false }])
  for (const character of text) {
    if (states.length === 0) return false
    states = close(
      tokens,
      states.flatMap((state) => step(tokens, state, character)),
    )
  }
  return states.some(({ token }) => token === tokens.length)
}

function step(tokens: readonly Token[], { token, inside }: State, character: string): readonly State[] {
  const current = tokens[token]
  const next = { token: token + 1, inside: false }
  if (current === undefined) return []
  if (current.kind === 'one') return current.matches(character) ? [next] : []
  if (current.kind === 'star') return character === '/' ? [] : [{ token, inside }]
  if (current.kind === 'rest') return [{ token, inside }]
  return character === '/' ? [{ token, inside: true }, next] : [{ token, inside: true }]
}

/** Adds what can be reached without a character, each state once. */
function close(tokens: readonly Token[], states: readonly State[]): readonly State[] {
  const found = new Map<number, State>()
  const queue = [...states]
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    const key = state.token * 2 + (state.inside ? 1 : 0)
    if (found.has(key)) continue
    found.set(key, state)
    const kind = tokens[state.token]?.kind
    if (kind !== undefined && kind !== 'one' && !state.inside)
      queue.push({ token: state.token + 1, inside: false })
  }
  return [...found.values()]
}
