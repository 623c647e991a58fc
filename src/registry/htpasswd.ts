import { CosignetError, decodeUtf8 } from '../core/index.ts'

/** Bcrypt hashes by user, as `htpasswd -B` writes them. */
export type Htpasswd = ReadonlyMap<string, string>

/** Higher costs would keep a thread busy for seconds for each guess. */
const COST_MAX = 14

const HASH = /^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$/

/**
 * Reads an htpasswd file as distribution's registry does: one `USER:HASH` a line, blank lines and those that begin with
 * `#` passed over, bcrypt hashes (`$2y$`, `$2b$`, `$2a$`; cost 4 to 14) alone. A user who is there twice is refused,
 * since programs disagree on which line counts.
 * @param what names the file in messages, for example "The htpasswd file "users"".
 * @throws INVALID_CONFIG with the number of the line; never with what stands in it
 */
export function parseHtpasswd(bytes: Uint8Array, what: string): Htpasswd {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw invalid(`${what} is not UTF-8.`)
  const users = new Map<string, string>()
  for (const [i, untrimmed] of text.split('\n').entries()) {
    const line = untrimmed.trim()
    if (line === '' || line.startsWith('#')) continue
    const { user, hash } = parseLine(line, `${what}, line ${i + 1}`)
    if (users.has(user)) throw invalid(`${what}, line ${i + 1}: the user is there twice.`)
    users.set(user, hash)
  }
  if (users.size === 0) throw invalid(`${what} has no user.`)
  return users
}

function parseLine(line: string, where: string): { user: string; hash: string } {
  const colon = line.indexOf(':')
  if (colon < 1) throw invalid(`${where}: it is not of the form USER:HASH.`)
  const hash = line.slice(colon + 1)
  const cost = Number(HASH.exec(hash)?.[1])
  if (Number.isNaN(cost)) throw invalid(`${where}: the hash is not one of bcrypt.`)
  if (cost < 4 || cost > COST_MAX) throw invalid(`${where}: the cost ${cost} is not one of 4 to ${COST_MAX}.`)
  return { user: line.slice(0, colon), hash }
}

function invalid(message: string): CosignetError {
  return new CosignetError('INVALID_CONFIG', message, {
    hint: "Write each line with 'htpasswd -B FILE USER'.",
  })
}
