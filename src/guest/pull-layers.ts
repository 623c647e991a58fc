import { createHash } from 'node:crypto'
import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { CosignetError, errnoOf, isCosignetError, LIMITS, quote } from '../core/index.ts'
import { type Descriptor, type Digest, digestParts, type ImageSource, MEDIA_TYPES } from '../oci/index.ts'
import type { DenialCause, TraceStep } from '../policy/index.ts'
import { layerError } from './pull-text.ts'

/** Why a layer cannot be used: the cause, and what the guest says as the reason. */
export interface LayerFault {
  readonly cause: DenialCause
  readonly reason: string
}

interface LayerFormat {
  /** Undefined where the layer is a plain tar. */
  readonly decompress?: () => Transform
}

const CHUNK = { chunkSize: 256 * 1024 }
const TAR: LayerFormat = {}
const GZIP: LayerFormat = { decompress: () => createGunzip(CHUNK) }
const ZSTD: LayerFormat = { decompress: () => createZstdDecompress(CHUNK) }

/** Layer media types that the guest unpacks (image-rs, `decoder/mod.rs`). */
const LAYER_FORMATS: Readonly<Record<string, LayerFormat>> = {
  [MEDIA_TYPES.ociLayer]: TAR,
  [MEDIA_TYPES.ociLayerGzip]: GZIP,
  [MEDIA_TYPES.ociLayerZstd]: ZSTD,
  [MEDIA_TYPES.dockerLayerGzip]: GZIP,
  'application/vnd.oci.image.layer.nondistributable.v1.tar': TAR,
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': GZIP,
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': ZSTD,
}

/**
 * Reads every layer as the guest does and checks its digest and the digest of what it unpacks to; stores nothing. A
 * layer that stands in the manifest twice is read once, like there.
 * @param diffIds of the image configuration, one a layer.
 * @returns the first fault, or undefined.
 * @throws UNSUPPORTED for an encrypted layer; whatever the source throws because it cannot be reached.
 */
export async function findLayerFault(
  source: ImageSource,
  layers: readonly Descriptor[],
  diffIds: readonly Digest[],
  trace: TraceStep[],
  signal?: AbortSignal,
): Promise<LayerFault | undefined> {
  const seen = new Set<Digest>()
  for (const [i, layer] of layers.entries()) {
    const diffId = diffIds[i]
    if (diffId === undefined || seen.has(layer.digest)) continue
    seen.add(layer.digest)
    const fault = await checkLayer(source, layer, diffId, signal)
    const facts = { digest: layer.digest, size: layer.size, diffId }
    if (fault !== undefined) {
      trace.push({ step: 'layer', outcome: 'failed', message: fault.cause.message, facts })
      return fault
    }
    const message = `Layer ${i + 1} has its digest and unpacks to its diff_id.`
    trace.push({ step: 'layer', outcome: 'ok', message, facts })
  }
  return undefined
}

async function checkLayer(
  source: ImageSource,
  layer: Descriptor,
  diffId: Digest,
  signal?: AbortSignal,
): Promise<LayerFault | undefined> {
  if (layer.mediaType.endsWith('+encrypted')) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The layer ${layer.digest} is encrypted; whether the guest can decrypt it cannot be judged yet.`,
    )
  }
  const format = LAYER_FORMATS[layer.mediaType]
  if (format === undefined) {
    const message = `The layer ${layer.digest} has the media type ${quote(layer.mediaType)}, which the guest does not unpack.`
    return fault(message, `Failed to decode layer: unhandled media type: ${layer.mediaType}`)
  }
  try {
    const actual = await unpackedDigest(source, layer, format, digestParts(diffId).algorithm, signal)
    if (actual === diffId) return undefined
    const message = `The layer ${layer.digest} unpacks to ${actual}, but the image configuration says ${diffId}.`
    return fault(message, `unequal uncompressed digest ${actual} config diff_id ${diffId}`)
  } catch (error) {
    if (isCosignetError(error, 'DIGEST_MISMATCH', 'NOT_FOUND')) {
      return fault(error.message, 'Failed to async pull blob stream')
    }
    if (isCosignetError(error) || signal?.aborted === true) throw error
    if (!isCompressionError(error)) throw error
    return fault(`The layer ${layer.digest} cannot be decompressed.`, 'Failed to decode layer data stream')
  }
}

async function unpackedDigest(
  source: ImageSource,
  layer: Descriptor,
  format: LayerFormat,
  algorithm: string,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm)
  let size = 0
  const consume = async (stream: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of stream) {
      size += chunk.byteLength
      if (size > LIMITS.unpackedLayerBytes) {
        throw new CosignetError(
          'TOO_LARGE',
          `The layer ${layer.digest} unpacks to more than ${LIMITS.unpackedLayerBytes} bytes.`,
        )
      }
      hash.update(chunk)
    }
  }
  const options = signal === undefined ? {} : { signal }
  const blob = Readable.from(source.getBlob(layer, signal), { objectMode: false })
  if (format.decompress === undefined) await pipeline(blob, consume, options)
  else await pipeline(blob, format.decompress(), consume, options)
  return `${algorithm}:${hash.digest('hex')}`
}

/** zlib's and zstd's errors are the only ones of a layer's own making. */
function isCompressionError(error: unknown): boolean {
  return /^(Z_|ZSTD_|ERR_)/.test(errnoOf(error) ?? '')
}

function fault(message: string, reason: string): LayerFault {
  const fix = 'Build and push the image again, then sign it.'
  return { cause: { code: 'layer-invalid', message, fix }, reason: layerError(reason) }
}
