import { CosignetError, quote } from '../core/index.ts'
import { parseYamlDocuments } from './yaml-documents.ts'

/** Something in a Kubernetes manifest that runs a Pod. */
export interface Workload {
  readonly kind: string
  /** `metadata.name`; where there is none, `metadata.generateName`; else empty. */
  readonly name: string
  readonly namespace: string | undefined
  /** Which document of the file, from 0. */
  readonly document: number
  /** Keys and indices from the document to the Pod or Pod template; empty for a Pod that is the document. */
  readonly podPath: readonly (string | number)[]
  /** Annotations of the Pod or Pod template. */
  readonly annotations: ReadonlyMap<string, string>
  readonly runtimeClassName: string | undefined
  /** In the order in which they start. */
  readonly containers: readonly Container[]
}

export interface Container {
  readonly name: string
  /** As it stands in the file: not parsed, not completed. */
  readonly image: string
  readonly kind: 'init' | 'container' | 'ephemeral'
  readonly imagePullPolicy: string | undefined
}

/**
 * Finds every Pod and Pod template in a file of manifests: Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job,
 * CronJob, and Lists of them. Other kinds are passed over.
 * @param text YAML documents, or JSON.
 * @param what names the file in messages, for example "The file pod.yaml".
 * @throws INVALID_YAML with line and column; INVALID_POD where there is no Pod or one is not complete; TOO_LARGE
 */
export function parseWorkloads(text: string, what: string): readonly Workload[] {
  const documents = parseYamlDocuments(text, what)
  const workloads = documents.flatMap(({ value }, document) => collect(value, { what, document }, []))
  if (workloads.length === 0) {
    throw new CosignetError('INVALID_POD', `${what} has no Pod in it, and nothing that runs one.`)
  }
  return workloads
}

/** Where each kind keeps the Pod that it runs (Kubernetes API, `PodTemplateSpec`). */
const POD_PATHS: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
}

const CONTAINER_LISTS: readonly (readonly [string, Container['kind']])[] = [
  ['initContainers', 'init'],
  ['containers', 'container'],
  ['ephemeralContainers', 'ephemeral'],
]

/** Lists in lists; kubectl writes one level. */
const LIST_DEPTH = 4

interface Place {
  readonly what: string
  readonly document: number
}

function collect(value: unknown, place: Place, path: readonly (string | number)[]): Workload[] {
  const kind = get(value, 'kind')
  if (typeof kind !== 'string') return []
  const items = get(value, 'items')
  if (kind.endsWith('List') && Array.isArray(items)) {
    if (path.length >= 2 * LIST_DEPTH) {
      throw new CosignetError(
        'INVALID_POD',
        `${place.what} has Lists in Lists deeper than ${LIST_DEPTH} levels.`,
      )
    }
    return items.flatMap((item, i) => collect(item, place, [...path, 'items', i]))
  }
  const steps = Object.hasOwn(POD_PATHS, kind) ? POD_PATHS[kind] : undefined
  return steps === undefined ? [] : [readWorkload(value, kind, steps, place, path)]
}

function readWorkload(
  value: unknown,
  kind: string,
  steps: readonly string[],
  place: Place,
  path: readonly (string | number)[],
): Workload {
  const metadata = get(value, 'metadata')
  const name = get(metadata, 'name') ?? get(metadata, 'generateName') ?? ''
  const reader = new PodReader(`${place.what}: the ${kind} ${quote(String(name))}`)
  const pod = steps.reduce(get, value)
  const spec = get(pod, 'spec')
  if (!(spec instanceof Map)) return reader.fail(`has no ${[...steps, 'spec'].join('.')}`)
  const containers = CONTAINER_LISTS.flatMap(([list, role]) => reader.containers(spec, list, role))
  if (!containers.some((container) => container.kind === 'container')) reader.fail('has no containers')
  return {
    kind,
    name: reader.optional(name, 'metadata.name') ?? '',
    namespace: reader.optional(get(metadata, 'namespace'), 'metadata.namespace'),
    document: place.document,
    podPath: [...path, ...steps],
    annotations: reader.annotations(get(get(pod, 'metadata'), 'annotations')),
    runtimeClassName: reader.optional(get(spec, 'runtimeClassName'), 'runtimeClassName'),
    containers,
  }
}

/** Reads fields of the expected shape; every failure names the file, the workload and the field. */
class PodReader {
  readonly #what: string

  constructor(what: string) {
    this.#what = what
  }

  fail(reason: string): never {
    throw new CosignetError('INVALID_POD', `${this.#what} ${reason}.`)
  }

  /** A null value is as good as none. */
  optional(value: unknown, field: string): string | undefined {
    if (value === undefined || value === null || typeof value === 'string') return value ?? undefined
    return this.fail(`has a ${field} that is not a string`)
  }

  annotations(value: unknown): ReadonlyMap<string, string> {
    if (value === undefined || value === null) return new Map()
    if (!(value instanceof Map)) return this.fail('has annotations that are not a mapping')
    const annotations = new Map<string, string>()
    for (const [key, text] of value) {
      if (typeof key !== 'string' || typeof text !== 'string') {
        this.fail(
          `has an annotation ${quote(String(key))} that is not a string, which Kubernetes refuses; put it in quotes`,
        )
      }
      annotations.set(key, text)
    }
    return annotations
  }

  containers(spec: Map<unknown, unknown>, list: string, kind: Container['kind']): Container[] {
    const value = spec.get(list)
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) return this.fail(`has ${list} that are not a list`)
    return value.map((item: unknown, i) => {
      const field = (key: string): string | undefined => this.optional(get(item, key), `${list}[${i}].${key}`)
      const required = (key: string): string => field(key) || this.fail(`has no ${list}[${i}].${key}`)
      return {
        name: required('name'),
        image: required('image'),
        kind,
        imagePullPolicy: field('imagePullPolicy'),
      }
    })
  }
}

function get(value: unknown, key: string): unknown {
  return value instanceof Map ? value.get(key) : undefined
}
