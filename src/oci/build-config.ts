import { CosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import { type Digest, isDigest } from './digest.ts'
import type { Platform } from './manifest.ts'

/** What happens in a container of the image, by Docker's names (image-spec, config.md). */
export interface RunConfig {
  User?: string
  ExposedPorts?: Record<string, JsonValue>
  Env?: readonly string[]
  Entrypoint?: readonly string[]
  Cmd?: readonly string[]
  WorkingDir?: string
  Labels?: Record<string, string>
  Shell?: readonly string[]
  [other: string]: JsonValue | undefined
}

export interface HistoryEntry {
  readonly created?: string
  readonly created_by?: string
  readonly comment?: string
  readonly empty_layer?: boolean
}

/** A configuration that a build works on. */
export interface ImageConfig {
  readonly platform: Platform
  readonly osVersion?: string
  readonly author?: string
  readonly run: RunConfig
  readonly diffIds: readonly Digest[]
  readonly history: readonly JsonValue[]
}

/** Where programs are looked for; BuildKit sets it where the base has none. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Fields of `config` that are passed on as they are: the ones that Docker and the OCI know. */
const KEPT_FIELDS = ['Volumes', 'StopSignal', 'StopTimeout', 'Healthcheck', 'ArgsEscaped'] as const

/** The configuration of `FROM scratch`. */
export function emptyConfig(platform: Platform): ImageConfig {
  return { platform, run: { Env: [`PATH=${PATH}`], WorkingDir: '/' }, diffIds: [], history: [] }
}

/**
 * Reads the configuration of a base image, Docker's or the OCI's.
 * @param layers number of its layers.
 * @param what names it in messages, for example "The configuration of docker.io/library/nginx".
 * @throws INVALID_IMAGE, INVALID_JSON, TOO_LARGE; UNSUPPORTED if it has triggers (ONBUILD)
 */
export function readConfig(bytes: Uint8Array, layers: number, what: string): ImageConfig {
  if (bytes.byteLength > LIMITS.configBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.configBytes} bytes.`)
  }
  const reader = new ConfigReader(what)
  const root = reader.object(parseJson(bytes, what), 'the document') ?? {}
  const run = reader.object(root['config'], 'config') ?? {}
  const rootfs = reader.object(root['rootfs'], 'rootfs') ?? {}
  const diffIds = (reader.strings(rootfs['diff_ids'], 'rootfs.diff_ids') ?? []).map((id) => {
    return isDigest(id) ? id : reader.fail(`${quote(id)} is not a digest`)
  })
  if (diffIds.length !== layers) reader.fail(`it tells of ${diffIds.length} layers where there are ${layers}`)
  const triggers = reader.strings(run['OnBuild'], 'config.OnBuild') ?? []
  if (triggers.length > 0) {
    throw new CosignetError('UNSUPPORTED', `${what} has triggers (ONBUILD), which are not run here.`, {
      hint: 'Build this image with docker buildx or buildah.',
    })
  }
  const variant = reader.string(root['variant'], 'variant')
  const osVersion = reader.string(root['os.version'], 'os.version')
  const author = reader.string(root['author'], 'author')
  return {
    platform: {
      os: reader.string(root['os'], 'os') ?? reader.fail('it names no operating system'),
      architecture:
        reader.string(root['architecture'], 'architecture') ?? reader.fail('it names no processor'),
      ...(variant === undefined ? {} : { variant }),
    },
    ...(osVersion === undefined ? {} : { osVersion }),
    ...(author === undefined ? {} : { author }),
    run: withPath(readRun(run, reader)),
    diffIds,
    history: reader.array(root['history'], 'history') ?? [],
  }
}

/** Writes a configuration as JSON has it, in a fixed order. */
export function configDocument(config: ImageConfig, created: string): object {
  const { platform, run, diffIds, history } = config
  return {
    created,
    author: config.author,
    architecture: platform.architecture,
    os: platform.os,
    'os.version': config.osVersion,
    variant: platform.variant,
    config: run,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history,
  }
}

/** Variables by name, of a list of `NAME=value`; one that is there twice has its last value. */
export function parseEnv(env: readonly string[] = []): ReadonlyMap<string, string> {
  return new Map(
    env.map((line) => {
      const equals = line.indexOf('=')
      return equals === -1 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)]
    }),
  )
}

/** Writes variables as a list, in their order. */
export function formatEnv(variables: ReadonlyMap<string, string>): readonly string[] {
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

function readRun(run: JsonObject, reader: ConfigReader): RunConfig {
  const user = reader.string(run['User'], 'config.User')
  const ports = reader.object(run['ExposedPorts'], 'config.ExposedPorts')
  const env = reader.strings(run['Env'], 'config.Env')
  const entrypoint = reader.strings(run['Entrypoint'], 'config.Entrypoint')
  const cmd = reader.strings(run['Cmd'], 'config.Cmd')
  const workdir = reader.string(run['WorkingDir'], 'config.WorkingDir')
  const labels = reader.object(run['Labels'], 'config.Labels')
  const shell = reader.strings(run['Shell'], 'config.Shell')
  const result: RunConfig = {
    ...(user === undefined ? {} : { User: user }),
    ...(ports === undefined ? {} : { ExposedPorts: { ...ports } }),
    ...(env === undefined ? {} : { Env: env }),
    ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint }),
    ...(cmd === undefined ? {} : { Cmd: cmd }),
    ...(workdir === undefined ? {} : { WorkingDir: workdir }),
    ...(labels === undefined ? {} : { Labels: readLabels(labels, reader) }),
    ...(shell === undefined ? {} : { Shell: shell }),
  }
  for (const field of KEPT_FIELDS) {
    const value = run[field]
    if (value !== undefined && value !== null) result[field] = value
  }
  return result
}

function readLabels(labels: JsonObject, reader: ConfigReader): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [
      name,
      reader.string(value, `config.Labels[${quote(name)}]`) ?? '',
    ]),
  )
}

function withPath(run: RunConfig): RunConfig {
  const env = run.Env ?? []
  return parseEnv(env).has('PATH') ? run : { ...run, Env: [...env, `PATH=${PATH}`] }
}

type JsonObject = { readonly [key: string]: JsonValue }

/** Reads fields of the expected shape, `null` as if they were not there; failures name the field. */
class ConfigReader {
  readonly #what: string

  constructor(what: string) {
    this.#what = what
  }

  fail(reason: string): never {
    throw new CosignetError('INVALID_IMAGE', `${this.#what} is not valid: ${reason}.`)
  }

  object(value: JsonValue | undefined, field: string): JsonObject | undefined {
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'object' || Array.isArray(value)) this.fail(`${field} is not an object`)
    return value as JsonObject
  }

  array(value: JsonValue | undefined, field: string): readonly JsonValue[] | undefined {
    if (value === undefined || value === null) return undefined
    if (!Array.isArray(value)) this.fail(`${field} is not a list`)
    return value
  }

  string(value: JsonValue | undefined, field: string): string | undefined {
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value !== 'string') this.fail(`${field} is not a string`)
    return value
  }

  strings(value: JsonValue | undefined, field: string): readonly string[] | undefined {
    return this.array(value, field)?.map((text) => {
      return typeof text === 'string' ? text : this.fail(`${field} holds something that is not a string`)
    })
  }
}
