/** Where a reader of a zstd frame is (RFC 8878, 3.1). */
type Part = 'magic' | 'skipped-size' | 'skipped' | 'descriptor' | 'header' | 'block-header' | 'block' | 'end'

const MAGIC = 0xfd2fb528
/** The low four bits are free. */
const SKIPPABLE_MAGIC = 0x184d2a50

/**
 * Cuts a zstd stream so that no chunk holds bytes of two frames, and leaves skippable frames out: Node's decoder drops
 * what follows a frame in the same chunk. `zstd:chunked` layers have a frame for each file.
 */
export async function* zstdFrames(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let frame = new ZstdFrameReader()
  /** What came of a frame before its kind was known. */
  let held: Uint8Array[] = []
  for await (const chunk of chunks) {
    for (let rest = chunk; rest.byteLength > 0; ) {
      const taken = frame.take(rest)
      held.push(rest.subarray(0, taken))
      rest = rest.subarray(taken)
      if (frame.kind !== undefined) {
        if (frame.kind === 'data') yield* held
        held = []
      }
      if (frame.isOver) frame = new ZstdFrameReader()
    }
  }
  yield* held
}

/** Finds the end of a zstd frame. What is no frame has no end: the decoder says what is wrong with it. */
export class ZstdFrameReader {
  #part: Part = 'magic'
  /** Bytes of the part that are still to come. */
  #left = 4
  #value = 0
  #shift = 0
  #hasChecksum = false
  #isLastBlock = false
  /** Undefined as long as its first bytes are missing. */
  kind: 'data' | 'skippable' | undefined

  get isOver(): boolean {
    return this.#part === 'end'
  }

  /** How many bytes of `chunk` belong to the frame. */
  take(chunk: Uint8Array): number {
    let offset = 0
    while (offset < chunk.byteLength && !this.isOver) {
      if (this.#part === 'header' || this.#part === 'block' || this.#part === 'skipped') {
        const length = Math.min(this.#left, chunk.byteLength - offset)
        this.#left -= length
        offset += length
      } else {
        this.#value += (chunk[offset] ?? 0) * 2 ** this.#shift
        this.#shift += 8
        this.#left -= 1
        offset += 1
      }
      while (this.#left === 0 && !this.isOver) this.#next()
    }
    return offset
  }

  #next(): void {
    const value = this.#value
    this.#value = 0
    this.#shift = 0
    ;[this.#part, this.#left] = this.#after(value)
  }

  /** The part that follows the one that was read, and its length. */
  #after(value: number): readonly [Part, number] {
    switch (this.#part) {
      case 'magic': {
        const isSkippable = value - (value % 16) === SKIPPABLE_MAGIC
        this.kind = isSkippable ? 'skippable' : 'data'
        if (isSkippable) return ['skipped-size', 4]
        return value === MAGIC ? ['descriptor', 1] : ['block', Number.POSITIVE_INFINITY]
      }
      case 'skipped-size':
        return ['skipped', value]
      case 'descriptor':
        this.#hasChecksum = (value & 4) !== 0
        return ['header', headerLength(value)]
      case 'block-header': {
        this.#isLastBlock = (value & 1) !== 0
        // A block of type 1 is one byte to be repeated.
        const size = ((value >> 1) & 3) === 1 ? 1 : value >> 3
        return ['block', this.#isLastBlock && this.#hasChecksum ? size + 4 : size]
      }
      case 'header':
        return ['block-header', 3]
      case 'block':
        return this.#isLastBlock ? ['end', 0] : ['block-header', 3]
      default:
        return ['end', 0]
    }
  }
}

/** Bytes between the descriptor and the first block: window, dictionary and content size (RFC 8878, 3.1.1.1). */
function headerLength(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  const contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  return (isSingleSegment ? 0 : 1) + dictionary + contentSize
}
