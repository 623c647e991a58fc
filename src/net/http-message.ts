/** A request of the bounded client. */
export interface HttpRequest {
  readonly method: string
  /** `http:` or `https:`; user and password in it are refused. */
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | HttpRequestStream
  readonly signal?: AbortSignal
  /** Default: `follow` for GET and HEAD, `refuse` (BAD_RESPONSE) for all others. */
  readonly redirects?: 'follow' | 'refuse'
  /**
   * Milliseconds for the whole exchange, the body of the answer included. Default: `LIMITS.requestMs`. `Infinity` for
   * blobs, which only the idle time-out bounds.
   */
  readonly timeoutMs?: number
  /**
   * Milliseconds that the server may be silent after the last byte of a streamed body, while it stores what it got.
   * Default: as at any other time, `LIMITS.idleMs`.
   */
  readonly answerMs?: number
}

/** A request body that is streamed, and can be opened once more where the request is sent again. */
export interface HttpRequestStream {
  /** Bytes; sent as Content-Length and enforced. Default: chunked transfer. */
  readonly length?: number
  open(): AsyncIterable<Uint8Array>
}

/** An answer, whatever its status; its body is still on the wire. Consume it or call `discard`. */
export interface HttpResponse {
  readonly status: number
  /** By lower-case name; a header given more than once is joined with ", ". */
  readonly headers: Readonly<Record<string, string>>
  /** The URL that answered, after redirects. */
  readonly url: URL
  /** Not decompressed; can be read once. Fails with UNAVAILABLE if it is truncated. */
  readonly body: AsyncIterable<Uint8Array>
  /**
   * Reads the body whole.
   * @throws TOO_LARGE beyond `limit` bytes; UNAVAILABLE, TIMEOUT, ABORTED
   */
  bytes(limit: number): Promise<Uint8Array>
  /** Gives the body up, so that it holds no connection. */
  discard(): void
}
