import { type KbsErrorName, kbsErrorBody, kbsErrorStatus } from '../protocol/errors.ts'

/** A refusal that becomes the answer: its text goes to the client, so it tells no secret and no cause. */
export class KbsRefusal extends Error {
  override readonly name = 'KbsRefusal'
  readonly kind: KbsErrorName
  /** Thumbprint of the TEE key, where the other side proved to have one. */
  readonly teeKey: string | undefined

  /** @param options.cause what only the log may tell. */
  constructor(kind: KbsErrorName, detail: string, options: { cause?: unknown; teeKey?: string } = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.teeKey = options.teeKey
  }

  toResponse(): Response {
    return Response.json(kbsErrorBody(this.kind, this.message), { status: kbsErrorStatus(this.kind) })
  }
}
