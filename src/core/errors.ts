/** What an error code means to the outside: one row a code, and no other place that decides it. */
interface ErrorMeaning {
  /** Exit status of the command line: 2 wrong usage or input, 3 could not do or decide. */
  readonly exit: 2 | 3
  /** Whether the same call may succeed later with nothing changed here. */
  readonly retryable: boolean
}

const input = { exit: 2, retryable: false } as const
const failed = { exit: 3, retryable: false } as const

const MEANINGS = {
  USAGE: input,
  INVALID_REFERENCE: input,
  INVALID_DIGEST: input,
  INVALID_MANIFEST: input,
  INVALID_IMAGE: input,
  INVALID_KEY: input,
  INVALID_PASSWORD: input,
  INVALID_SIGNATURE: input,
  INVALID_POLICY: input,
  INVALID_JSON: input,
  INVALID_TOML: input,
  INVALID_YAML: input,
  INVALID_BASE64: input,
  INVALID_GZIP: input,
  INVALID_INITDATA: input,
  INVALID_POD: input,
  INVALID_CONFIG: input,
  INVALID_RESOURCE_PATH: input,
  INVALID_REQUEST: input,
  ALREADY_EXISTS: { exit: 2, retryable: false },
  UNAUTHORIZED: { exit: 3, retryable: false },
  FORBIDDEN: { exit: 3, retryable: false },
  NOT_FOUND: { exit: 3, retryable: false },
  CONFLICT: { exit: 3, retryable: true },
  TOO_LARGE: { exit: 3, retryable: false },
  DIGEST_MISMATCH: failed,
  BAD_RESPONSE: { exit: 3, retryable: false },
  UNSUPPORTED: failed,
  UNAVAILABLE: { exit: 3, retryable: true },
  TIMEOUT: { exit: 3, retryable: true },
  ABORTED: failed,
  FILE: failed,
  INTERNAL: failed,
} as const satisfies Record<string, ErrorMeaning>

/** Stable name of a failure; scripts may match on it. */
export type ErrorCode = keyof typeof MEANINGS

export interface CosignetErrorOptions {
  readonly cause?: unknown
  /** What to do about it: one sentence, with the command where there is one. Never suggests loosening a policy. */
  readonly hint?: string | undefined
}

/**
 * The only error that the library throws on purpose: bad input, or something that could not be done or decided.
 * A denial is not an error; it is a `Verdict`.
 */
export class CosignetError extends Error {
  override readonly name = 'CosignetError'
  readonly code: ErrorCode
  readonly hint: string | undefined

  /**
   * @param code stable name of the failure.
   * @param message a full sentence that quotes the offending public value; never a secret.
   */
  constructor(code: ErrorCode, message: string, options: CosignetErrorOptions = {}) {
    super(oneLine(message), options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
  }

  /** Whether the same call may succeed later with nothing changed here. */
  get retryable(): boolean {
    return MEANINGS[this.code].retryable
  }
}

/** Exit status of the command line for an error code: 2 (usage or input) or 3 (could not do or decide). */
export function exitStatusOf(code: ErrorCode): 2 | 3 {
  return MEANINGS[code].exit
}

/** Whether `error` is a `CosignetError` with one of `codes` (with any code, if none is named). */
export function isCosignetError(error: unknown, ...codes: readonly ErrorCode[]): error is CosignetError {
  return error instanceof CosignetError && (codes.length === 0 || codes.includes(error.code))
}

/**
 * Quotes an untrusted value for a message: one line, at most 120 characters; what a terminal does not show or shows in
 * another order is escaped (control, zero-width and bidirectional characters).
 */
export function quote(value: string): string {
  const escaped = JSON.stringify(value).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, unicodeEscape)
  return escaped.length <= 120 ? escaped : `${escaped.slice(0, 116)}…"`
}

/** The reason in `error` as one line without a final full stop: its message, or its text. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error)
  return oneLine(text).replace(/\.$/, '')
}

function oneLine(text: string): string {
  const lines = text.split(/[\p{Cc}\u2028\u2029]/u).map((line) => line.trim())
  return lines.filter((line) => line !== '').join(' ')
}

function unicodeEscape(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i))
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
}
