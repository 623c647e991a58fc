import { CosignetError, isCosignetError, reasonOf } from '../core/index.ts'
import { type Digest, isDigest } from './digest.ts'
import type { Descriptor } from './manifest.ts'
import type { ImageSource } from './store.ts'
import { verifiedStream } from './verified-stream.ts'

/** A place that may have the image. */
export interface MirrorEndpoint {
  /** Opens it when it is first asked. */
  open(): Promise<ImageSource>
}

/**
 * One image behind several places, mirrors first and the registry itself last (containers-registries.conf(5)). Who
 * answers the first manifest is asked first from then on; whatever a place does wrong, a wrong digest included, is a
 * reason to ask the next. A mirror is trusted with nothing: digests are checked wherever bytes come from, and a tag is
 * what the place that was found says it is.
 * @param endpoints one or more; the last one's error is what is told when all fail.
 */
export function createMirroredSource(name: string, endpoints: readonly MirrorEndpoint[]): ImageSource {
  const places = endpoints.map((endpoint) => new Place(endpoint))
  let chosen: Place | undefined

  /** In the order to ask them; those that failed for this digest before come last. */
  const order = (digest?: Digest): readonly Place[] => {
    const first = chosen === undefined ? [] : [chosen]
    const all = [...first, ...places.filter((place) => place !== chosen)]
    return all.toSorted((a, b) => Number(a.failed(digest)) - Number(b.failed(digest)))
  }

  return {
    name,
    getManifest: async (tagOrDigest, signal) => {
      const digest = isDigest(tagOrDigest) ? tagOrDigest : undefined
      const failures = new Failures()
      for (const place of order(digest)) {
        try {
          const manifest = await (await place.source()).getManifest(tagOrDigest, signal)
          chosen ??= place
          return manifest
        } catch (error) {
          // What the place that was found does not have under a tag, is not there: a signature, for example.
          if (place === chosen && digest === undefined && isCosignetError(error, 'NOT_FOUND')) throw error
          failures.add(place, error, signal)
        }
      }
      throw failures.told(chosen)
    },
    getBlob: (descriptor, signal) =>
      verifiedStream(
        readBlob(order(descriptor.digest), () => chosen, descriptor, signal),
        descriptor,
        `The blob ${descriptor.digest} of ${name}`,
      ),
    listReferrers: async (digest, signal) => {
      const failures = new Failures()
      for (const place of order()) {
        try {
          return await (await place.source()).listReferrers(digest, signal)
        } catch (error) {
          failures.add(place, error, signal)
        }
      }
      throw failures.told(chosen)
    },
  }
}

/**
 * Where a place breaks off, the next one goes on from the same byte; that both had the same blob is for the reader to
 * check. Bytes that turn out to be wrong cannot be taken back: the next time, that place is asked last.
 */
async function* readBlob(
  places: readonly Place[],
  chosen: () => Place | undefined,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failures = new Failures()
  let passed = 0
  for (const place of places) {
    try {
      let again = passed
      for await (const chunk of (await place.source()).getBlob(descriptor, signal)) {
        const rest = chunk.subarray(Math.min(again, chunk.byteLength))
        again -= chunk.byteLength - rest.byteLength
        passed += rest.byteLength
        if (rest.byteLength > 0) yield rest
      }
      return
    } catch (error) {
      place.fail(descriptor.digest)
      if (passed > 0 && isCosignetError(error, 'DIGEST_MISMATCH')) throw error
      failures.add(place, error, signal)
    }
  }
  throw failures.told(chosen())
}

class Place {
  readonly #open: () => Promise<ImageSource>
  #source: Promise<ImageSource> | undefined
  readonly #failed = new Set<Digest>()

  constructor(endpoint: MirrorEndpoint) {
    this.#open = () => endpoint.open()
  }

  source(): Promise<ImageSource> {
    this.#source ??= this.#open()
    return this.#source
  }

  fail(digest: Digest): void {
    this.#failed.add(digest)
  }

  failed(digest: Digest | undefined): boolean {
    return digest !== undefined && this.#failed.has(digest)
  }
}

/** What went wrong at each place that was asked for one thing. */
class Failures {
  readonly #all: { readonly place: Place; readonly error: unknown }[] = []

  /** @throws the error, if it was not the place's fault. */
  add(place: Place, error: unknown, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true || isCosignetError(error, 'ABORTED')) throw error
    this.#all.push({ place, error })
  }

  /** The error of the place that was found before, else of the last, with the others' in its hint. */
  told(chosen: Place | undefined): unknown {
    const main = this.#all.find(({ place }) => place === chosen) ?? this.#all.at(-1)
    const others = this.#all.filter((failure) => failure !== main)
    if (main === undefined || others.length === 0) return main?.error
    const { error } = main
    if (!(error instanceof CosignetError)) return error
    const list = others.map(({ error }) => `${reasonOf(error)}.`).join(' ')
    const hint = error.hint === undefined ? '' : `${error.hint} `
    return new CosignetError(error.code, error.message, {
      cause: error.cause ?? error,
      hint: `${hint}It failed elsewhere, too: ${list}`,
    })
  }
}
