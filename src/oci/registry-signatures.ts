import { randomBytes } from 'node:crypto'
import {
  CosignetError,
  decodeBase64,
  encodeBase64,
  encodeUtf8,
  type JsonValue,
  LIMITS,
} from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import type { Digest } from './digest.ts'
import { parseAnswer, refuseHtml } from './registry-answers.ts'
import type { RegistryTransport } from './registry-transport.ts'

/** OpenPGP signatures that a registry keeps beside its manifests. */
export interface RegistrySignatures {
  /**
   * Signatures of one manifest, in the order of the registry; not parsed, not verified.
   * @throws NOT_FOUND if the registry does not know the manifest; BAD_RESPONSE, INVALID_BASE64, TOO_LARGE,
   * UNAUTHORIZED, UNAVAILABLE, TIMEOUT
   */
  list(digest: Digest, signal?: AbortSignal): Promise<readonly Uint8Array[]>
  /** Adds a signature to a manifest that is there. @throws NOT_FOUND, FORBIDDEN, UNSUPPORTED, TOO_LARGE, and as `list` */
  put(digest: Digest, signature: Uint8Array, signal?: AbortSignal): Promise<void>
}

const HEADER = 'x-registry-supports-signatures'
const SCHEMA_VERSION = 2
const TYPE = 'atomic'

/** Which hosts announced the extension, so that each client asks once. */
const knownHosts = new WeakMap<HttpClient, Map<string, boolean>>()

/**
 * Whether the registry announces that it keeps signatures (X-Registry-Supports-Signatures; containers/image,
 * docs/signature-protocols.md). It is asked at `/v2/`, once a host.
 * @throws UNAUTHORIZED, UNAVAILABLE, TIMEOUT, ABORTED
 */
export async function announcesSignatures(
  transport: RegistryTransport,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const hosts = knownHosts.get(transport.http) ?? new Map<string, boolean>()
  knownHosts.set(transport.http, hosts)
  const known = hosts.get(transport.host)
  if (known !== undefined) return known
  const response = await transport.send({
    method: 'GET',
    path: fromRoot(transport, 'v2/'),
    action: 'pull',
    signal,
    // Whoever may not come in is told of the extension all the same; some gateways serve repositories alone.
    expect: [401, 403, 404],
    task: `Asking ${transport.host} what it supports`,
  })
  response.discard()
  const announced = response.headers[HEADER] === '1'
  hosts.set(transport.host, announced)
  return announced
}

/** The extension of one repository, at a registry that announces it. */
export function registrySignatures(transport: RegistryTransport, name: string): RegistrySignatures {
  const pathOf = (digest: Digest): string =>
    fromRoot(transport, `extensions/v2/${transport.repository}/signatures/${digest}`)
  return {
    list: async (digest, signal) => {
      const what = `the signatures of ${name}@${digest}`
      const { response, bytes } = await transport.read(
        { method: 'GET', path: pathOf(digest), action: 'pull', signal, task: `Reading ${what}` },
        LIMITS.jsonBytes,
      )
      refuseHtml(response, name)
      return parseList(bytes, what)
    },
    put: async (digest, signature, signal) => {
      const response = await transport.send({
        method: 'PUT',
        path: pathOf(digest),
        action: 'push',
        headers: { 'content-type': 'application/json' },
        body: encodeSignature(digest, signature),
        signal,
        task: `Writing a signature of ${name}@${digest}`,
      })
      response.discard()
      refuseHtml(response, name)
    },
  }
}

/** Requests are sent below `/v2/REPOSITORY/`. */
function fromRoot({ repository }: RegistryTransport, path: string): string {
  return `${'../'.repeat(repository.split('/').length + 1)}${path}`
}

/** Those of other kinds are passed over, as containers/image does. */
function parseList(bytes: Uint8Array, what: string): readonly Uint8Array[] {
  const list = membersOf(parseAnswer(bytes, `The list of ${what}`))['signatures'] ?? []
  if (!Array.isArray(list)) throw new CosignetError('BAD_RESPONSE', `The list of ${what} is none.`)
  if (list.length > LIMITS.signatures) {
    throw new CosignetError(
      'TOO_LARGE',
      `The list of ${what} has more than the limit of ${LIMITS.signatures}.`,
    )
  }
  const found: Uint8Array[] = []
  for (const [i, entry] of list.entries()) {
    const { schemaVersion, type, content } = membersOf(entry)
    if (schemaVersion !== SCHEMA_VERSION || type !== TYPE) continue
    const which = `Entry ${i + 1} of ${what}`
    if (typeof content !== 'string') throw new CosignetError('BAD_RESPONSE', `${which} has no content.`)
    const signature = decodeBase64(content, which)
    if (signature.byteLength > LIMITS.payloadBytes) {
      throw new CosignetError(
        'TOO_LARGE',
        `${which} is larger than the limit of ${LIMITS.payloadBytes} bytes.`,
      )
    }
    found.push(signature)
  }
  return found
}

/** The name is the client's to make up; a try whose answer was lost is repeated under the same one. */
function encodeSignature(digest: Digest, signature: Uint8Array): Uint8Array {
  const name = `${digest}@${randomBytes(16).toString('hex')}`
  const content = encodeBase64(signature)
  return encodeUtf8(JSON.stringify({ schemaVersion: SCHEMA_VERSION, name, type: TYPE, content }))
}

function membersOf(value: JsonValue): { readonly [key: string]: JsonValue } {
  return ((typeof value === 'object' ? value : null) ?? {}) as { readonly [key: string]: JsonValue }
}
