import { X509Certificate } from 'node:crypto'
import { encodeUtf8, isCosignetError, type JsonNode, parseJsonTree } from '../core/index.ts'
import { COSIGN, type UntrustedAttachment } from '../signature/index.ts'

/** What stands beside a signature unsigned, as far as cosign lets it decide. */
export interface Beside {
  /** Seconds since 1970 at which a log is said to have taken the signature in; not verified. */
  readonly integratedTime?: number
  /** The first certificate; that anybody issued it is not verified. */
  readonly certificate?: X509Certificate
}

const TIMESTAMP = 'dev.sigstore.cosign/rfc3161timestamp'
const CHAIN = 'dev.sigstore.cosign/chain'

/** More than anybody chains. */
const CERTIFICATES_MAX = 20

/**
 * Reads the annotations beside a signature as cosign does before it verifies anything: one that it cannot read refuses
 * the signature, though nothing in it is signed and nobody asked for it. An empty one is as none.
 * Follows cosign, pkg/oci/static/signature.go (Copy), and Go's encoding/json and encoding/pem.
 * @returns the annotation for which cosign refuses the signature, if it does.
 */
export function readBeside(attachment: UntrustedAttachment): Beside | { readonly unreadable: string } {
  const annotations = attachment.descriptor.annotations ?? {}
  const log = parse(annotations[COSIGN.bundle])
  if (log === undefined || !hasShape(log, LOG)) return { unreadable: COSIGN.bundle }
  const timestamp = parse(annotations[TIMESTAMP])
  if (timestamp === undefined || !hasShape(timestamp, STAMP)) return { unreadable: TIMESTAMP }
  const certificates = readCertificates(annotations[COSIGN.certificate])
  if (certificates === undefined) return { unreadable: COSIGN.certificate }
  const [certificate] = certificates
  if (certificate !== undefined && readCertificates(annotations[CHAIN]) === undefined) {
    return { unreadable: CHAIN }
  }
  const time = memberOf(memberOf(log, 'payload'), 'integratedtime')
  return {
    ...(time?.kind === 'number' ? { integratedTime: time.value } : {}),
    ...(certificate === undefined ? {} : { certificate }),
  }
}

type Check = (node: JsonNode) => boolean

/** Fields of a struct of Go's, in lower case: it finds them in any. What has another name is passed over. */
type Shape = Readonly<Record<string, Check>>

const isText: Check = (node) => node.kind === 'string'
const isInteger: Check = (node) => node.kind === 'number' && /^-?[0-9]{1,19}$/.test(node.text)
const isBytes: Check = (node) => {
  const text = node.kind === 'string' ? node.value.replace(/[\r\n]/g, '') : '?'
  return Buffer.from(text, 'base64').toString('base64') === text
}

/** RekorBundle in pkg/cosign/bundle/rekor.go, RFC3161Timestamp in tsa.go. */
const PAYLOAD: Shape = { integratedtime: isInteger, logindex: isInteger, logid: isText }
const LOG: Shape = { signedentrytimestamp: isBytes, payload: (node) => hasShape(node, PAYLOAD) }
const STAMP: Shape = { signedrfc3161timestamp: isBytes }

/** Whether Go reads the node into such a struct; null is always read. */
function hasShape(node: JsonNode, shape: Shape): boolean {
  if (node.kind === 'null') return true
  if (node.kind !== 'object') return false
  return node.members.every(({ key, value }) => {
    const name = key.toLowerCase()
    const check = Object.hasOwn(shape, name) ? shape[name] : undefined
    return check === undefined || value.kind === 'null' || check(value)
  })
}

/** Of several of one name, the last. */
function memberOf(node: JsonNode | undefined, name: string): JsonNode | undefined {
  if (node?.kind !== 'object') return undefined
  return node.members.findLast(({ key }) => key.toLowerCase() === name)?.value
}

function parse(text = ''): JsonNode | undefined {
  if (text === '') return { kind: 'null', offset: 0 }
  try {
    return parseJsonTree(encodeUtf8(text), 'It')
  } catch (error) {
    if (isCosignetError(error, 'INVALID_JSON')) return undefined
    throw error
  }
}

const BLOCK = /-----BEGIN [^\r\n]*-----\r?\n([A-Za-z0-9+/=\s]*)-----END [^\r\n]*-----/g

/** Certificates in PEM, of blocks with any label; between them anything may stand, and nothing after the last. */
function readCertificates(text = ''): readonly X509Certificate[] | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return []
  const blocks = [...trimmed.matchAll(BLOCK)]
  const last = blocks.at(-1)
  if (last === undefined || last.index + last[0].length !== trimmed.length) return undefined
  if (blocks.length > CERTIFICATES_MAX) return undefined
  try {
    return blocks.map(([, base64 = '']) => new X509Certificate(Buffer.from(base64, 'base64')))
  } catch {
    return undefined
  }
}
