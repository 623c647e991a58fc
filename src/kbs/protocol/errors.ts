/** Body of every refusal of a KBS (kbs-types 0.18, `ErrorInformation`). */
export interface KbsErrorBody {
  /** `ERROR_TYPE_PREFIX`, a slash and the name of the error. */
  readonly type: string
  readonly detail: string
}

const ERROR_TYPE_PREFIX = 'https://github.com/confidential-containers/kbs/errors'

/**
 * Names of the errors and the status of each (kbs/src/error.rs). Trustee knows two statuses: 404 for a wrong path or
 * plugin, 401 for all else, a missing resource and a policy's refusal included; a guest goes by them. The last four
 * are ours, for what Trustee leaves to its HTTP library or does not have.
 */
const STATUSES = {
  AdminAuthInitialization: 401,
  AttestationError: 401,
  InvalidRequestPath: 404,
  PluginInternalError: 401,
  PluginNotFound: 404,
  PolicyDeny: 401,
  TokenNotFound: 401,
  TokenVerifierError: 401,
  PayloadTooLarge: 413,
  PreconditionFailed: 412,
  ServiceUnavailable: 503,
  InternalError: 500,
} as const satisfies Record<string, number>

export type KbsErrorName = keyof typeof STATUSES

/** HTTP status of an error. */
export function kbsErrorStatus(name: KbsErrorName): (typeof STATUSES)[KbsErrorName] {
  return STATUSES[name]
}

/** Body of an error. */
export function kbsErrorBody(name: KbsErrorName, detail: string): KbsErrorBody {
  return { type: `${ERROR_TYPE_PREFIX}/${name}`, detail }
}

/** Name of the error that a body tells, untrusted; `undefined` if its type is not of the KBS. */
export function kbsErrorName(body: KbsErrorBody): string | undefined {
  return body.type.startsWith(`${ERROR_TYPE_PREFIX}/`)
    ? body.type.slice(ERROR_TYPE_PREFIX.length + 1)
    : undefined
}
