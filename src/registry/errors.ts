import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { CosignetError, type ErrorCode } from '../core/index.ts'

/**
 * Error codes with their usual status: those of distribution-spec 1.1 ("Error Codes"), and for what it has no code
 * those of the distribution project (RANGE_INVALID, TAG_INVALID, PAGINATION_NUMBER_INVALID, UNKNOWN), of OpenShift's
 * registry (SIGNATURE_EXISTS, SIGNATURE_INVALID) and our own (PRECONDITION_FAILED).
 */
const STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 409,
  BLOB_UPLOAD_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  PAGINATION_NUMBER_INVALID: 400,
  PRECONDITION_FAILED: 412,
  RANGE_INVALID: 416,
  SIGNATURE_EXISTS: 409,
  SIGNATURE_INVALID: 400,
  SIZE_INVALID: 400,
  TAG_INVALID: 400,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNKNOWN: 500,
  UNSUPPORTED: 405,
} as const satisfies Record<string, ContentfulStatusCode>

type RegistryErrorCode = keyof typeof STATUS

export interface RefusalOptions {
  /** Where it is not the usual one. */
  readonly status?: ContentfulStatusCode
  readonly headers?: Readonly<Record<string, string>>
}

/** The exception by which a handler answers a request with an error. */
export function refusal(
  code: RegistryErrorCode,
  message: string,
  options: RefusalOptions = {},
): HTTPException {
  const { status = STATUS[code], headers = {} } = options
  const res = Response.json({ errors: [{ code, message }] }, { status, headers })
  return new HTTPException(status, { res, message })
}

/** What the errors of storage and parsers mean to a client. */
const MEANINGS: Partial<Record<ErrorCode, readonly [RegistryErrorCode, ContentfulStatusCode?]>> = {
  // Only uploads are answered by this error; everything else that is not there is a value.
  NOT_FOUND: ['BLOB_UPLOAD_UNKNOWN'],
  CONFLICT: ['BLOB_UPLOAD_INVALID'],
  TOO_LARGE: ['SIZE_INVALID', 413],
  DIGEST_MISMATCH: ['DIGEST_INVALID'],
  INVALID_DIGEST: ['DIGEST_INVALID'],
  INVALID_MANIFEST: ['MANIFEST_INVALID'],
  INVALID_JSON: ['MANIFEST_INVALID'],
  UNAVAILABLE: ['TOOMANYREQUESTS'],
}

/** The answer to whatever a handler threw; what is not the client's to know stays here. */
export function answerError(error: unknown): Response {
  if (error instanceof HTTPException) return error.getResponse()
  const meaning = error instanceof CosignetError ? MEANINGS[error.code] : undefined
  if (!(error instanceof CosignetError) || meaning === undefined) {
    return refusal('UNKNOWN', 'The registry failed to answer this request.').getResponse()
  }
  const [code, status] = meaning
  return refusal(code, error.message, status === undefined ? {} : { status }).getResponse()
}
