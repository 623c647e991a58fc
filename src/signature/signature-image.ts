import {
  CosignetError,
  encodeGoString,
  encodeUtf8,
  type JsonMember,
  type JsonNode,
  LIMITS,
  parseJsonTree,
} from '../core/index.ts'
import { type Descriptor, digestOf, type Manifest, MEDIA_TYPES, parseManifest } from '../oci/index.ts'
import { COSIGN } from './cosign-format.ts'

/** A signature image ready to be pushed: its blobs (the payloads aside) and its manifest. */
export interface SignatureImage {
  readonly manifest: Manifest
  readonly config: Uint8Array
}

/** A layer descriptor of a signature image as its compact JSON: what is kept of it when the image is written again. */
export type LayerJson = string

/** Writes the descriptor of a layer as cosign does; Go sorts the annotations. */
export function encodeAnnotatedLayer(
  mediaType: string,
  payload: Uint8Array,
  annotations: Readonly<Record<string, string>>,
): LayerJson {
  const sorted = Object.entries(annotations).sort(([a], [b]) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  )
  const members = sorted.map(([key, value]) => `${encodeGoString(key)}:${encodeGoString(value)}`)
  return (
    `{"mediaType":${encodeGoString(mediaType)},"size":${payload.byteLength},"digest":"${digestOf(payload)}",` +
    `"annotations":{${members.join(',')}}}`
  )
}

/** Whether a layer is a signature, by anyone, over this payload. */
export function isPayloadLayer(layer: Descriptor, payload: Uint8Array): boolean {
  return layer.mediaType === COSIGN.payloadMediaType && layer.digest === digestOf(payload)
}

/** The layers of a signature image, with all that their descriptors say. */
export function layersOf(manifest: Manifest): readonly LayerJson[] {
  const layers = membersOf(parseJsonTree(manifest.bytes, 'The signature manifest')).find(
    ({ key }) => key === 'layers',
  )
  return layers?.value.kind === 'array' ? layers.value.items.map(encodeNode) : []
}

/**
 * Makes the signature image that follows `base`: the same, with layers appended. A new one has the bytes that cosign
 * writes; what another program wrote into the manifest stays, in its order. The configuration is written anew, as it
 * says no more than the layers do (cosign, pkg/oci/mutate/signatures.go; go-containerregistry, mutate/image.go).
 * @param base undefined for the first signature of an image.
 * @throws TOO_LARGE beyond the number of signatures that is read.
 */
export function appendLayers(base: Manifest | undefined, added: readonly LayerJson[]): SignatureImage {
  const layers = [...(base === undefined ? [] : layersOf(base)), ...added]
  if (layers.length > LIMITS.signatures) {
    throw new CosignetError('TOO_LARGE', `An image cannot have more than ${LIMITS.signatures} signatures.`)
  }
  const config = encodeConfig(layers.map(digestOfLayer))
  const bytes = encodeUtf8(
    base === undefined ? encodeNewManifest(config, layers) : encodeNextManifest(base, config, layers),
  )
  return { manifest: parseManifest(bytes, base?.mediaType, 'The new signature manifest'), config }
}

function encodeNewManifest(config: Uint8Array, layers: readonly LayerJson[]): string {
  return (
    `{"schemaVersion":2,"mediaType":"${MEDIA_TYPES.ociManifest}",` +
    `"config":{"mediaType":"${MEDIA_TYPES.ociConfig}",${sizeAndDigest(config)}},"layers":[${layers.join(',')}]}`
  )
}

function encodeNextManifest(base: Manifest, config: Uint8Array, layers: readonly LayerJson[]): string {
  const members = membersOf(parseJsonTree(base.bytes, 'The signature manifest')).map((member) => {
    if (member.key === 'layers') return `"layers":[${layers.join(',')}]`
    return member.key === 'config'
      ? `"config":${encodeNextConfig(member.value, config)}`
      : encodeMember(member)
  })
  return `{${members.join(',')}}`
}

/** The descriptor of the configuration with its new size and digest; `data` would be the old content. */
function encodeNextConfig(descriptor: JsonNode, config: Uint8Array): string {
  const kept = membersOf(descriptor).filter(
    ({ key }) => !['size', 'digest', 'data', 'mediaType'].includes(key),
  )
  const mediaType = membersOf(descriptor).filter(({ key }) => key === 'mediaType')
  return `{${[...mediaType.map(encodeMember), sizeAndDigest(config), ...kept.map(encodeMember)].join(',')}}`
}

function sizeAndDigest(bytes: Uint8Array): string {
  return `"size":${bytes.byteLength},"digest":"${digestOf(bytes)}"`
}

/** Go's zero time, which cosign writes for the sake of the same bytes from everyone. */
const CREATED = '"created":"0001-01-01T00:00:00Z"'

function encodeConfig(digests: readonly string[]): Uint8Array {
  const history = digests.map(() => `{${CREATED}}`).join(',')
  const diffIds = digests.map((digest) => `"${digest}"`).join(',')
  return encodeUtf8(
    `{"architecture":"",${CREATED},"history":[${history}],"os":"",` +
      `"rootfs":{"type":"layers","diff_ids":[${diffIds}]},"config":{}}`,
  )
}

/** The digest in a descriptor, which is its diff ID too: a payload is not compressed. */
function digestOfLayer(layer: LayerJson): Descriptor['digest'] {
  return (JSON.parse(layer) as Descriptor).digest
}

function membersOf(node: JsonNode): readonly JsonMember[] {
  return node.kind === 'object' ? node.members : []
}

/** Writes a value as compact JSON, keeping order, number literals and every character of a string. */
function encodeNode(node: JsonNode): string {
  switch (node.kind) {
    case 'null':
      return 'null'
    case 'boolean':
      return String(node.value)
    case 'number':
      return node.text
    case 'string':
      return encodeGoString(node.value)
    case 'array':
      return `[${node.items.map(encodeNode).join(',')}]`
    case 'object':
      return `{${node.members.map(encodeMember).join(',')}}`
  }
}

function encodeMember({ key, value }: JsonMember): string {
  return `${encodeGoString(key)}:${encodeNode(value)}`
}
