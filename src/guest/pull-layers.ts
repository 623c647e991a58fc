import { createHash } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { CosignetError, isCosignetError, LIMITS, quote } from '../core/index.ts'
import { type Descriptor, type Digest, type ImageSource, MEDIA_TYPES } from '../oci/index.ts'
import type { TraceStep } from '../policy/index.ts'
import { readBlob } from './pull-blob.ts'
import { PUSH_AGAIN, type PullFault } from './pull-fault.ts'
import { TarReader } from './pull-tar.ts'
import { layerError } from './pull-text.ts'
import { firstZstdFrame } from './pull-zstd.ts'

export interface LayersToCheck {
  readonly source: ImageSource
  readonly layers: readonly Descriptor[]
  /** Of the image configuration, one for each layer, as they stand. */
  readonly diffIds: readonly string[]
  /** Layers that the Pod has unpacked already; the guest takes those without reading them again. */
  readonly unpacked: ReadonlySet<Digest>
  readonly trace: TraceStep[]
  /** Bytes that one layer may unpack to. Default: `LIMITS.unpackedLayerBytes`. */
  readonly unpackedBytesMax?: number
  readonly signal?: AbortSignal
}

/**
 * Reads every layer as the guest does and checks its digest, its tar and the digest of what it unpacks to; stores
 * nothing. A layer that stands in the manifest twice is read once, like there.
 * @returns the first fault, or undefined.
 * @throws UNSUPPORTED for what is not judged (encrypted layers among it); TOO_LARGE; whatever the source throws because
 * it cannot be reached.
 */
export async function findLayerFault(options: LayersToCheck): Promise<PullFault | undefined> {
  const { layers, diffIds, trace } = options
  const seen = new Set<Digest>()
  for (const [i, layer] of layers.entries()) {
    const diffId = diffIds[i]
    if (diffId === undefined || seen.has(layer.digest)) continue
    seen.add(layer.digest)
    const fault = await checkLayer(options, layer, diffId)
    const facts = { digest: layer.digest, size: layer.size, diffId }
    if (fault !== undefined) {
      trace.push({ step: 'layer', outcome: 'failed', message: fault.cause.message, facts })
      return fault
    }
    const message = options.unpacked.has(layer.digest)
      ? `Layer ${i + 1} was unpacked for another image of the Pod, so the guest does not read it again.`
      : `Layer ${i + 1} has its digest and unpacks to its diff_id.`
    trace.push({ step: 'layer', outcome: 'ok', message, facts })
  }
  return undefined
}

async function checkLayer(
  options: LayersToCheck,
  layer: Descriptor,
  diffId: string,
): Promise<PullFault | undefined> {
  const name = `The layer ${layer.digest}`
  const blob = readBlob(options.source, layer, name, options.signal)
  try {
    // The guest sends the request before it looks at what it is about to read.
    const opened = await open(blob)
    if ('cause' in opened) return opened
    if (options.unpacked.has(layer.digest)) return undefined
    const format = formatOf(layer)
    if (format === undefined) {
      const message = `${name} has the media type ${quote(layer.mediaType)}, which the guest does not unpack.`
      return fault(message, `Failed to decode layer: unhandled media type: ${layer.mediaType}`)
    }
    const algorithm = /^(sha256|sha512):/.exec(diffId)?.[1]
    if (algorithm === undefined) {
      const message = `The diff_id ${quote(diffId)} of the layer ${layer.digest} is not one that the guest computes.`
      const reason = `Unsupported uncompressed digest format: ${diffId}`
      return fault(message, `Failed to decode layer data stream: ${reason}`)
    }
    const sizeMax = options.unpackedBytesMax ?? LIMITS.unpackedLayerBytes
    return await unpack({ name, diffId, algorithm, format, blob: opened, sizeMax })
  } finally {
    await blob.return()
  }
}

/** Reads the first bytes, which tells whether the registry gives the layer. */
async function open(
  blob: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<AsyncIterable<Uint8Array> | PullFault> {
  const first = blob.next()
  try {
    await first
  } catch (error) {
    // An empty layer: the guest notices when it reads it.
    if (!isCosignetError(error, 'DIGEST_MISMATCH')) return explainRefusal(error)
  }
  return resume(first, blob)
}

async function* resume(
  first: Promise<IteratorResult<Uint8Array, void>>,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { done, value } = await first
  if (done === true) return
  yield value
  yield* rest
}

interface LayerFormat {
  /** Undefined where the layer is a plain tar. */
  readonly decoder?: () => Gunzip | ZstdDecompress
  /** The part of the blob that the guest's decoder takes. Default: all. */
  readonly part?: (blob: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
}

const CHUNK = { chunkSize: 256 * 1024 }
const TAR: LayerFormat = {}
const GZIP: LayerFormat = { decoder: () => createGunzip(CHUNK) }
const ZSTD: LayerFormat = { decoder: () => createZstdDecompress(CHUNK), part: firstZstdFrame }

/** Layer media types that the guest unpacks (image-rs, `decoder/mod.rs`). */
const LAYER_FORMATS: ReadonlyMap<string, LayerFormat> = new Map([
  [MEDIA_TYPES.ociLayer, TAR],
  [MEDIA_TYPES.ociLayerGzip, GZIP],
  [MEDIA_TYPES.ociLayerZstd, ZSTD],
  [MEDIA_TYPES.dockerLayerGzip, GZIP],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar', TAR],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', GZIP],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', ZSTD],
])

function formatOf({ mediaType, digest }: Descriptor): LayerFormat | undefined {
  if (mediaType.endsWith('+encrypted')) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The layer ${digest} is encrypted; whether the guest can decrypt it cannot be judged yet.`,
    )
  }
  return LAYER_FORMATS.get(mediaType)
}

interface LayerStream {
  readonly name: string
  readonly diffId: string
  readonly algorithm: string
  readonly format: LayerFormat
  readonly blob: AsyncIterable<Uint8Array>
  readonly sizeMax: number
}

/** Unpacks a layer and throws away what comes out, but for its digest and what is wrong with it. */
async function unpack(layer: LayerStream): Promise<PullFault | undefined> {
  const { name, diffId } = layer
  const hash = createHash(layer.algorithm)
  const tar = new TarReader()
  let size = 0
  let broken: string | undefined
  const consume = (chunk: Uint8Array): void => {
    size += chunk.byteLength
    if (size > layer.sizeMax) {
      throw new CosignetError('TOO_LARGE', `${name} unpacks to more than ${layer.sizeMax} bytes.`)
    }
    hash.update(chunk)
    broken = tar.update(chunk)
    if (broken !== undefined) throw new Error(broken)
  }
  const input = new LayerInput(layer.blob)
  try {
    if (!(await decode(input, layer.format, consume))) {
      return fault(`${name} has bytes after the end of its gzip data.`, unpackError(tar.failure()))
    }
  } catch (error) {
    if (broken !== undefined) return fault(`${name} is not a tar that the guest reads.`, unpackError(broken))
    if (input.error !== undefined || error instanceof CosignetError) throw input.error ?? error
    return fault(`${name} cannot be decompressed.`, unpackError(tar.failure()))
  }
  if (input.mismatch !== undefined) return fault(input.mismatch.message, unpackError(tar.failure()))
  broken = tar.end()
  if (broken !== undefined) return fault(`${name} is a tar that is cut short.`, unpackError(broken))
  const actual = `${layer.algorithm}:${hash.digest('hex')}`
  if (actual === diffId) return undefined
  return fault(
    `${name} unpacks to ${actual}, but the image configuration says ${quote(diffId)}.`,
    `unequal uncompressed digest ${actual} config diff_id ${diffId}`,
  )
}

/** Passes a blob on and keeps apart what went wrong with it and what went wrong with unpacking it. */
class LayerInput {
  /** Bytes that were passed on. */
  size = 0
  /** Why the blob could not be read to its end. */
  error: unknown
  /** The blob was read whole and has another digest; the guest finds out when it reads on. */
  mismatch: CosignetError | undefined
  readonly #blob: AsyncIterable<Uint8Array>

  constructor(blob: AsyncIterable<Uint8Array>) {
    this.#blob = blob
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of this.#blob) {
        this.size += chunk.byteLength
        yield chunk
      }
    } catch (error) {
      if (isCosignetError(error, 'DIGEST_MISMATCH')) this.mismatch = error
      else {
        this.error = error
        throw error
      }
    }
  }
}

/** @returns false where Node took what follows gzip data for padding; the guest looks for another member there. */
async function decode(
  input: LayerInput,
  { decoder, part }: LayerFormat,
  consume: (chunk: Uint8Array) => void,
): Promise<boolean> {
  const blob = input.read()
  const source = Readable.from(part === undefined ? blob : part(blob), { objectMode: false })
  if (decoder === undefined) {
    await pipeline(source, sinkFor(consume))
    return true
  }
  const stream = decoder()
  await pipeline(source, stream, sinkFor(consume))
  return part !== undefined || stream.bytesWritten === input.size
}

/** Takes each chunk as it comes, so that none is lost where the next one cannot be decompressed. */
function sinkFor(consume: (chunk: Uint8Array) => void): Writable {
  return new Writable({
    write(chunk: Uint8Array, _, done) {
      try {
        consume(chunk)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

/** Whether the guest would not get the blob either. */
function explainRefusal(error: unknown): PullFault {
  if (isCosignetError(error, 'NOT_FOUND')) return fault(error.message, NOT_PULLED)
  if (isCosignetError(error, 'UNAUTHORIZED', 'FORBIDDEN')) {
    const fix = 'Let the account of the guest read the whole repository.'
    return {
      cause: { code: 'registry-refused', message: error.message, fix },
      reason: layerError(NOT_PULLED),
    }
  }
  throw error
}

const NOT_PULLED = 'Failed to async pull blob stream'

function fault(message: string, reason: string): PullFault {
  return { cause: { code: 'layer-invalid', message, fix: PUSH_AGAIN }, reason: layerError(reason) }
}

/** image-rs, `StreamError::UnPackLayerFailed`. */
function unpackError(reason: string): string {
  return `Failed to decode layer data stream: Failed to unpack layer: ${reason}`
}
