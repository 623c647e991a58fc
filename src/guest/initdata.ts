import { createHash } from 'node:crypto'
import type { TomlTable } from 'smol-toml'
import { CosignetError, decodeUtf8, encodeUtf8, LIMITS, quote } from '../core/index.ts'
import { parseToml, tomlKey, tomlString } from './initdata-toml.ts'

/** Hash algorithms of init data, spelt as the guest wants them. */
export const INITDATA_ALGORITHMS = ['sha256', 'sha384', 'sha512'] as const

export type InitDataAlgorithm = (typeof INITDATA_ALGORITHMS)[number]

/** The one version that the guest accepts (kata-agent, `initdata.rs`). */
export const INITDATA_VERSION = '0.1.0'

/** Init data 0.1.0: the files that a Pod hands to its guest, bound to the evidence by a digest. */
export interface InitData {
  /** The TOML as it was read: what the digest covers, every space and line end of it. */
  readonly bytes: Uint8Array
  readonly version: typeof INITDATA_VERSION
  readonly algorithm: InitDataAlgorithm
  /** Files by name. The guest reads `aa.toml`, `cdh.toml` and `policy.rego`. The texts are not parsed. */
  readonly data: ReadonlyMap<string, string>
}

/**
 * Parses init data and refuses what the guest would refuse when it boots.
 * @param bytes TOML, UTF-8, not compressed.
 * @param what names the document in messages, for example "The init data of pod.yaml".
 * @throws INVALID_INITDATA; INVALID_TOML with line and column; TOO_LARGE
 */
export function parseInitData(bytes: Uint8Array, what: string): InitData {
  checkSize(bytes, what)
  const text = decodeUtf8(bytes)
  if (text === undefined) throw new CosignetError('INVALID_INITDATA', `${what} is not UTF-8 text.`)
  const document = parseToml(text, what)
  return {
    bytes,
    version: readVersion(document, what),
    algorithm: readAlgorithm(document, what),
    data: readData(document, what),
  }
}

/**
 * Writes init data 0.1.0: the same files give the same bytes. `aa.toml`, `cdh.toml` and `policy.rego` come first, the
 * others follow by name; texts stand as `'''` literals where these can hold them.
 * @returns TOML, UTF-8.
 * @throws INVALID_TOML if a text cannot be UTF-8; TOO_LARGE
 */
export function encodeInitData(content: Pick<InitData, 'algorithm' | 'data'>): Uint8Array {
  const files = [...content.data].sort(([a], [b]) => fileRank(a) - fileRank(b) || (a < b ? -1 : 1))
  const entries = files.map(([name, text]) => `${tomlKey(name)} = ${tomlString(text, 'literal')}\n`)
  const head = `algorithm = "${content.algorithm}"\nversion = "${INITDATA_VERSION}"\n\n[data]\n`
  const bytes = encodeUtf8(head + entries.join('\n'))
  checkSize(bytes, 'The init data')
  return bytes
}

/** Digest of the init data: its own algorithm over the bytes as they were read, 32, 48 or 64 bytes long. */
export function initDataDigest(initData: Pick<InitData, 'bytes' | 'algorithm'>): Uint8Array {
  return createHash(initData.algorithm).update(initData.bytes).digest()
}

/** The files that today's guest reads, in the order of writing. */
export const INITDATA_FILES: readonly string[] = ['aa.toml', 'cdh.toml', 'policy.rego']

function fileRank(name: string): number {
  const rank = INITDATA_FILES.indexOf(name)
  return rank === -1 ? INITDATA_FILES.length : rank
}

function checkSize(bytes: Uint8Array, what: string): void {
  if (bytes.byteLength > LIMITS.initdataBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.initdataBytes} bytes.`)
  }
}

function readVersion(document: TomlTable, what: string): typeof INITDATA_VERSION {
  const version = document['version']
  if (version === INITDATA_VERSION) return version
  const found = version === undefined ? 'no version' : `the version ${quote(String(version))}`
  throw new CosignetError(
    'INVALID_INITDATA',
    `${what} has ${found}; the guest accepts "${INITDATA_VERSION}" alone and does not boot with another.`,
    { hint: `Write: version = "${INITDATA_VERSION}"` },
  )
}

function readAlgorithm(document: TomlTable, what: string): InitDataAlgorithm {
  const algorithm = document['algorithm']
  const known = INITDATA_ALGORITHMS.find((name) => name === algorithm)
  if (known !== undefined) return known
  if (typeof algorithm !== 'string') {
    const found = algorithm === undefined ? 'no algorithm' : 'an algorithm that is not a string'
    throw new CosignetError('INVALID_INITDATA', `${what} has ${found}.`, {
      hint: 'Write: algorithm = "sha256"',
    })
  }
  const meant = INITDATA_ALGORITHMS.find((name) => name === algorithm.toLowerCase().replace(/[^a-z0-9]/g, ''))
  throw new CosignetError(
    'INVALID_INITDATA',
    `${what} has the algorithm ${quote(algorithm)}: the Kata shim panics on it and the agent refuses it; ` +
      'both know sha256, sha384 and sha512 alone.',
    meant === undefined ? {} : { hint: `Write: algorithm = "${meant}"` },
  )
}

function readData(document: TomlTable, what: string): ReadonlyMap<string, string> {
  const data = document['data']
  if (data === null || typeof data !== 'object' || Array.isArray(data) || data instanceof Date) {
    throw new CosignetError('INVALID_INITDATA', `${what} has no table [data].`)
  }
  const files = new Map<string, string>()
  for (const [name, text] of Object.entries(data)) {
    if (typeof text !== 'string') {
      throw new CosignetError(
        'INVALID_INITDATA',
        `${what} has in [data] an entry ${quote(name)} that is not a string.`,
        { hint: "Put the name in quotes: \"cdh.toml\" = '''…'''. Without them the dot makes a table." },
      )
    }
    files.set(name, text)
  }
  return files
}
