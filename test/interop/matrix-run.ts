import { makeImage, pushImage, type TestImage } from './images.ts'
import {
  type Can,
  type Cannot,
  type Format,
  KEY_KINDS,
  type KeyKind,
  type MatrixBench,
  type MatrixImage,
  type MatrixKey,
  type MatrixProgram,
  prepareBench,
} from './matrix.ts'
import { startCosignetRegistry, startDockerRegistry, type TestRegistry } from './registries.ts'
import type { Sandbox } from './sandbox.ts'

/** Names of the registries, both with TLS: Debian's, and the embedded one. */
export const MATRIX_REGISTRIES = ['docker-registry', 'embedded'] as const

/** What is signed: where it is, and what it is. */
export interface Place {
  readonly registry: (typeof MATRIX_REGISTRIES)[number]
  readonly kind: ImageKind
}
export type ImageKind = keyof typeof ARCHITECTURES

const ARCHITECTURES = { image: ['amd64'], index: ['amd64', 'arm64'] } as const

/** One signature that every verifier of its format is to try. */
export interface Signing extends Place {
  readonly format: Format
  readonly signer: MatrixProgram
  /** Who made the key. */
  readonly maker: MatrixProgram
}

/** Starts the registries, which end with the sandbox. */
export async function startMatrix(sandbox: Sandbox): Promise<MatrixRun> {
  return new MatrixRun(await prepareBench(sandbox), {
    'docker-registry': await startDockerRegistry(sandbox, { tls: true }),
    embedded: await startCosignetRegistry(sandbox, { tls: true }),
  })
}

/** Makes keys, images and signatures when they are first asked for, and once. */
export class MatrixRun {
  readonly bench: MatrixBench
  readonly #registries: Readonly<Record<Place['registry'], TestRegistry>>
  readonly #made = new Map<string, Promise<unknown>>()

  constructor(bench: MatrixBench, registries: Readonly<Record<Place['registry'], TestRegistry>>) {
    this.bench = bench
    this.#registries = registries
  }

  key(maker: MatrixProgram, kind: KeyKind, purpose = 'signs'): Promise<MatrixKey> {
    const name = `${maker.name}-${kind}-${purpose}`
    const make = maker.makes[kind]
    if (make === undefined) throw new Error(`${maker.label} makes no ${kind} key`)
    return this.#once(name, () => make(this.bench, name))
  }

  /** The image, once it is signed. */
  signed({ format, signer, maker, ...place }: Signing): Promise<MatrixImage> {
    const { does } = can(signer.signs[format])
    const repository = `${signer.name}/${maker.name}-${format}`
    return this.#once(`signed ${repository} ${place.registry} ${place.kind}`, async () => {
      const [key, image] = await Promise.all([
        this.key(maker, KEY_KINDS[format]),
        this.image(repository, place),
      ])
      await does(this.bench, key, image)
      return image
    })
  }

  /** An image in a repository that has nothing else. */
  image(repository: string, { registry, kind }: Place): Promise<MatrixImage> {
    const to = this.#registries[registry]
    // A lookaside store does not tell registries apart.
    const name = `${registry}/${kind}/${repository}`
    return this.#once(`image ${name}`, async () => {
      const image = await this.#layout(kind)
      await pushImage(this.bench.sandbox, image, `${to.host}/${name}`)
      return { ...image, registry: to, repository: name }
    })
  }

  #layout(kind: ImageKind): Promise<TestImage> {
    return this.#once(`layout ${kind}`, () => makeImage(this.bench.sandbox, ARCHITECTURES[kind]))
  }

  #once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const made = this.#made.get(name) ?? make()
    this.#made.set(name, made)
    return made as Promise<T>
  }
}

/** What the program does; where it cannot, the test is wrong. */
export function can<Does>(ability: Can<Does> | Cannot): Can<Does> {
  if ('cannot' in ability) throw new Error(ability.cannot)
  return ability
}
