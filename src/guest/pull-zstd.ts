/** Where a reader of a zstd frame is (RFC 8878, 3.1). */
type Part = 'magic' | 'skippable-size' | 'descriptor' | 'header' | 'block-header' | 'content' | 'end'

const MAGIC = 0xfd2fb528
/** The low four bits are free. */
const SKIPPABLE_MAGIC = 0x184d2a50

/**
 * Passes the first zstd frame on and drops what follows, as the guest's decoder does (async-compression, without
 * `multiple_members`): of a layer in several frames (zstd:chunked) the guest sees the first alone. All is read, so that
 * the digest of the blob is checked.
 */
export async function* firstZstdFrame(
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const frame = new FrameReader()
  for await (const chunk of input) {
    const length = frame.take(chunk)
    if (length > 0) yield chunk.subarray(0, length)
  }
}

/** Finds the end of a frame. What is no frame has no end: the decoder says what is wrong with it. */
class FrameReader {
  #part: Part = 'magic'
  /** Bytes of the part that are still to come; of `content`, all of the block. */
  #left = 4
  #value = 0
  #shift = 0
  #checksum = false
  #last = false

  /** Bytes of `chunk` that belong to the frame. */
  take(chunk: Uint8Array): number {
    let offset = 0
    while (offset < chunk.byteLength && !this.#isOver()) {
      if (this.#part === 'content' || this.#part === 'header') {
        const length = Math.min(this.#left, chunk.byteLength - offset)
        this.#left -= length
        offset += length
      } else {
        this.#value += (chunk[offset] ?? 0) * 2 ** this.#shift
        this.#shift += 8
        this.#left -= 1
        offset += 1
      }
      while (this.#left === 0 && !this.#isOver()) this.#next()
    }
    return offset
  }

  #isOver(): boolean {
    return this.#part === 'end'
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
      case 'magic':
        if (value === MAGIC) return ['descriptor', 1]
        if (value - (value % 16) === SKIPPABLE_MAGIC) return ['skippable-size', 4]
        return ['content', Number.POSITIVE_INFINITY]
      case 'skippable-size':
        this.#last = true
        return ['content', value]
      case 'descriptor':
        this.#checksum = (value & 4) !== 0
        return ['header', headerLength(value)]
      case 'header':
        return ['block-header', 3]
      case 'block-header': {
        this.#last = (value & 1) !== 0
        // A block of type 1 is one byte to be repeated.
        const size = ((value >> 1) & 3) === 1 ? 1 : value >> 3
        return ['content', this.#last && this.#checksum ? size + 4 : size]
      }
      default:
        return this.#last ? ['end', 0] : ['block-header', 3]
    }
  }
}

/** Bytes between the descriptor and the first block: window, dictionary and content size (RFC 8878, 3.1.1.1). */
function headerLength(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  return (single ? 0 : 1) + dictionary + contentSize
}
