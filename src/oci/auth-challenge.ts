/** One challenge of a WWW-Authenticate header. */
export interface AuthChallenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** By lower-case name. */
  readonly parameters: ReadonlyMap<string, string>
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const PARAMETER = new RegExp(`^(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))`)
const SCHEME = new RegExp(`^(${TOKEN})(?:[ \\t]+|$|(?=,))`)

/**
 * Parses a WWW-Authenticate header (RFC 9110, section 11.6.1), several challenges in one line included. What cannot be
 * read ends the list: a challenge that is not understood is not answered.
 */
export function parseChallenges(header: string): readonly AuthChallenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  let rest = header
  for (;;) {
    rest = rest.replace(/^[ \t,]+/, '')
    const parameter = PARAMETER.exec(rest)
    const current = challenges.at(-1)
    if (parameter !== null && current !== undefined) {
      const value = parameter[3] ?? (parameter[2] ?? '').replace(/\\(.)/g, '$1')
      current.parameters.set((parameter[1] ?? '').toLowerCase(), value)
      rest = rest.slice(parameter[0].length)
      continue
    }
    const scheme = SCHEME.exec(rest)
    if (scheme === null) return challenges
    challenges.push({ scheme: (scheme[1] ?? '').toLowerCase(), parameters: new Map() })
    rest = rest.slice(scheme[0].length)
  }
}
