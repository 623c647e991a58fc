import { CosignetError, encodeBase64, encodeUtf8, type JsonValue, LIMITS, quote } from '../core/index.ts'
import { formatPublicKey, type PublicKey } from '../keys/index.ts'
import type { HttpClient, HttpResponse } from '../net/index.ts'
import { digestOf, digestParts } from '../oci/index.ts'
import { encodeEnvelope } from './bundle-format.ts'
import { readRekorAnswer } from './rekor-answer.ts'
import type { RekorEntry } from './rekor-entry.ts'
import type { RekorKeys } from './rekor-keys.ts'
import { LOGGED_ENVELOPE, LOGGED_PAYLOAD, type SignatureToLog, verifyRekorEntry } from './rekor-verify.ts'

/** A transparency log that signatures are entered in; every entry that it gives is verified before it is returned. */
export interface TransparencyLog {
  /** Without a slash at the end. */
  readonly url: string
  readonly rekorKeys: RekorKeys

  /**
   * Enters a signature over a payload (hashedrekord 0.0.1), as cosign does for a signature beside an image. The entry has
   * the log's promise.
   * @throws BAD_RESPONSE if the log refuses it or gives what is not a verified entry of this signature; UNAUTHORIZED,
   * FORBIDDEN, UNAVAILABLE, TIMEOUT, ABORTED
   */
  logSignature(signed: LoggedPayload, signal?: AbortSignal): Promise<RekorEntry>

  /**
   * Enters an envelope with one signature (dsse 0.0.1), as cosign does for a bundle. The entry has promise and proof.
   * @throws as `logSignature`
   */
  logEnvelope(signed: LoggedEnvelope, signal?: AbortSignal): Promise<RekorEntry>
}

/** A signature over a payload. */
export type LoggedPayload = Pick<SignatureToLog, 'payload' | 'signature' | 'key'>

/** A signature over the type of a payload and the payload (DSSE). */
export interface LoggedEnvelope extends LoggedPayload {
  readonly payloadType: string
}

export interface OpenRekorOptions {
  readonly http: Pick<HttpClient, 'request'>
  /** `https://rekor.sigstore.dev`. */
  readonly url: URL
  /** Keys of the log; its entries are worth nothing without. */
  readonly rekorKeys: RekorKeys
}

/**
 * Opens a Rekor log of version 1 (rekor, openapi.yaml). Nothing is sent yet. What is entered is public and stays.
 */
export function openRekor({ http, url, rekorKeys }: OpenRekorOptions): TransparencyLog {
  const base = url.href.replace(/\/+$/, '')
  const enter = async (
    proposed: JsonValue,
    signed: SignatureToLog,
    needs: readonly ('promise' | 'proof')[],
    signal: AbortSignal | undefined,
  ): Promise<RekorEntry> => {
    const entry = await createEntry(http, base, proposed, signal)
    const verified = verifyRekorEntry(entry, signed, rekorKeys)
    const missing = needs.find((part) => entry[part] === undefined)
    if (missing !== undefined) {
      throw new CosignetError('BAD_RESPONSE', `The log ${quote(base)} gave an entry without a ${missing}.`)
    }
    if (!('failure' in verified)) return entry
    throw new CosignetError(
      'BAD_RESPONSE',
      `The log ${quote(base)} gave an entry that is not good: ${verified.message}`,
    )
  }
  return {
    url: base,
    rekorKeys,
    logSignature: (signed, signal) =>
      enter(proposeHashedRekord(signed), { ...signed, kinds: LOGGED_PAYLOAD }, ['promise'], signal),
    logEnvelope: (signed, signal) =>
      enter(proposeDsse(signed), { ...signed, kinds: LOGGED_ENVELOPE }, ['promise', 'proof'], signal),
  }
}

function proposeHashedRekord({ payload, signature, key }: LoggedPayload): JsonValue {
  const { algorithm, hex } = digestParts(digestOf(payload))
  return {
    apiVersion: '0.0.1',
    kind: 'hashedrekord',
    spec: {
      data: { hash: { algorithm, value: hex } },
      signature: { content: encodeBase64(signature), publicKey: { content: encodePem(key) } },
    },
  }
}

function proposeDsse({ payloadType, payload, signature, key }: LoggedEnvelope): JsonValue {
  const envelope = { payloadType, payload, signatures: [{ signature, keyId: '' }] }
  return {
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      proposedContent: {
        envelope: JSON.stringify(encodeEnvelope(envelope)),
        verifiers: [encodePem(key)],
      },
    },
  }
}

function encodePem(key: PublicKey): string {
  return encodeBase64(encodeUtf8(formatPublicKey(key)))
}

const ENTRIES = '/api/v1/log/entries'

async function createEntry(
  http: OpenRekorOptions['http'],
  base: string,
  proposed: JsonValue,
  signal: AbortSignal | undefined,
): Promise<RekorEntry> {
  const either = signal === undefined ? {} : { signal }
  const response = await http.request({
    method: 'POST',
    url: new URL(base + ENTRIES),
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: encodeUtf8(JSON.stringify(proposed)),
    ...either,
  })
  if (response.status !== 409) return await readEntry(response, base, 201)
  // What the log holds already it does not send again.
  response.discard()
  const id = existingEntry(response, base)
  const url = new URL(`${base}${ENTRIES}/${id}`)
  return await readEntry(
    await http.request({ method: 'GET', url, headers: { accept: 'application/json' }, ...either }),
    base,
    200,
  )
}

/** A hash of an entry, with or without the ID of its tree before it. */
const ENTRY_ID = /\/([0-9a-f]{64}|[0-9a-f]{80})$/

/** Only the ID is taken from the header: who answers says what, and not where to ask. */
function existingEntry({ headers }: HttpResponse, base: string): string {
  const id = ENTRY_ID.exec(headers['location'] ?? '')?.[1]
  if (id !== undefined) return id
  throw new CosignetError(
    'BAD_RESPONSE',
    `The log ${quote(base)} has this entry already and does not say where.`,
  )
}

async function readEntry(response: HttpResponse, base: string, expected: number): Promise<RekorEntry> {
  if (response.status !== expected) throw await refusal(response, base)
  return readRekorAnswer(await response.bytes(LIMITS.jsonBytes), `The answer of the log ${quote(base)}`)
}

/** What statuses mean that are not the log's own. */
const CODES: Readonly<Record<number, 'UNAUTHORIZED' | 'FORBIDDEN' | 'UNAVAILABLE'>> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  429: 'UNAVAILABLE',
}

async function refusal(response: HttpResponse, base: string): Promise<CosignetError> {
  const { status } = response
  const text = await response.bytes(LIMITS.errorBodyBytes).then(
    (bytes) => Buffer.from(bytes).toString('utf8').trim(),
    () => '',
  )
  const code = CODES[status] ?? (status >= 500 ? 'UNAVAILABLE' : 'BAD_RESPONSE')
  const said = text === '' ? '' : `: ${quote(text)}`
  return new CosignetError(code, `The log ${quote(base)} did not take the entry (status ${status})${said}.`)
}
