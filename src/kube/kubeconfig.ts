import { dirname, isAbsolute, join } from 'node:path'
import { CosignetError, isCosignetError, LIMITS, positionAt, quote, readFileBounded } from '../core/index.ts'

/** A cluster of a kubeconfig: how its API server is reached. */
export interface ClusterEntry {
  readonly server: string
  /** Path of a PEM file, or PEM. */
  readonly certificateAuthority?: FileOrData
  readonly insecureSkipTlsVerify: boolean
  readonly tlsServerName?: string
  readonly proxyUrl?: string
}

/** A user of a kubeconfig: how one shows who one is. All of it is secret but for names of files and programs. */
export interface UserEntry {
  readonly clientCertificate?: FileOrData
  readonly clientKey?: FileOrData
  readonly token?: string
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly exec?: ExecEntry
  /** What it also asks for and nobody here can do: `auth-provider`, `as`, `as-groups`, … */
  readonly unsupported: readonly string[]
}

/** A program that prints credentials (client.authentication.k8s.io). */
export interface ExecEntry {
  readonly apiVersion: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly provideClusterInfo: boolean
  readonly interactiveMode: string
  readonly installHint?: string
}

/** A value that stands in the file (`…-data`, base64 there) or in a file that it names. */
export type FileOrData = { readonly data: string } | { readonly path: string }

export interface ContextEntry {
  readonly cluster: string
  readonly user: string
}

/** What one kubeconfig, or several merged, say. */
export interface KubeConfig {
  readonly currentContext?: string
  readonly clusters: ReadonlyMap<string, ClusterEntry>
  readonly users: ReadonlyMap<string, UserEntry>
  readonly contexts: ReadonlyMap<string, ContextEntry>
}

/** Where this user's kubeconfig is. */
export interface KubeConfigPlace {
  /** `KUBECONFIG`: a list of files, separated by colons. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly home: string
}

/**
 * Reads the files of `KUBECONFIG`, else `~/.kube/config`, and merges them as client-go does: of each name, the first
 * file that has it counts, whole; files that are not there are skipped.
 * @returns undefined if no file is there.
 * @throws INVALID_CONFIG, INVALID_YAML; FILE, TOO_LARGE
 */
export async function readKubeConfig({
  environment,
  home,
}: KubeConfigPlace): Promise<KubeConfig | undefined> {
  const listed = (environment['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '')
  const paths = listed.length > 0 ? listed : [join(home, '.kube', 'config')]
  const configs: KubeConfig[] = []
  for (const path of paths) {
    const text = await readIfThere(path)
    if (text !== undefined && text.trim() !== '') configs.push(await parseKubeConfig(text, path))
  }
  return configs.length === 0 ? undefined : mergeKubeConfigs(configs)
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await readFileBounded(path, LIMITS.kubeconfigBytes, 'kubeconfig')).toString('utf8')
  } catch (error) {
    const { cause } = error as { readonly cause?: { readonly code?: unknown } }
    if (isCosignetError(error, 'FILE') && cause?.code === 'ENOENT') return undefined
    throw error
  }
}

function mergeKubeConfigs(configs: readonly KubeConfig[]): KubeConfig {
  // A later entry of a Map replaces an earlier one, so the first file comes last.
  const reversed = configs.toReversed()
  const currentContext = configs.find((config) => config.currentContext !== undefined)?.currentContext
  return {
    ...(currentContext === undefined ? {} : { currentContext }),
    clusters: new Map(reversed.flatMap(({ clusters }) => [...clusters])),
    users: new Map(reversed.flatMap(({ users }) => [...users])),
    contexts: new Map(reversed.flatMap(({ contexts }) => [...contexts])),
  }
}

/**
 * Parses one kubeconfig (kubeconfig(5), YAML or JSON). Paths in it are relative to its folder; fields without a meaning
 * here are ignored, as client-go ignores them. No message quotes a value of it: any may be secret.
 * @param path of the file.
 * @throws INVALID_YAML with line and column; INVALID_CONFIG for what has another shape, or a name twice
 */
export async function parseKubeConfig(text: string, path: string): Promise<KubeConfig> {
  const what = `The kubeconfig ${quote(path)}`
  const root = asFields(await parseYaml(text, what), what)
  const folder = dirname(path)
  const currentContext = root.text('current-context')
  return {
    ...(currentContext === undefined ? {} : { currentContext }),
    clusters: named(root, 'clusters', 'cluster', (fields) => readCluster(fields, folder)),
    users: named(root, 'users', 'user', (fields) => readUser(fields, folder)),
    contexts: named(root, 'contexts', 'context', (fields) => ({
      cluster: fields.text('cluster') ?? '',
      user: fields.text('user') ?? '',
    })),
  }
}

async function parseYaml(text: string, what: string): Promise<unknown> {
  const { parseDocument } = await import('yaml')
  try {
    const document = parseDocument(text, { schema: 'core', prettyErrors: false, logLevel: 'silent' })
    const [error] = document.errors
    if (error === undefined) return document.toJS({ maxAliasCount: LIMITS.yamlAliases })
    const { line, column } = positionAt(text, error.pos[0])
    throw new CosignetError('INVALID_YAML', `${what} is not YAML: line ${line}, column ${column}.`)
  } catch (error) {
    // The parser's own words may quote what stands there.
    throw isCosignetError(error) ? error : new CosignetError('INVALID_YAML', `${what} is not YAML.`)
  }
}

function readCluster(fields: Fields, folder: string): ClusterEntry {
  const certificateAuthority = fields.fileOrData('certificate-authority', folder)
  const tlsServerName = fields.text('tls-server-name')
  const proxyUrl = fields.text('proxy-url')
  return {
    server: fields.text('server') ?? '',
    ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
    insecureSkipTlsVerify: fields.flag('insecure-skip-tls-verify'),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
  }
}

const UNSUPPORTED = ['auth-provider', 'as', 'as-uid', 'as-groups', 'as-user-extra'] as const

function readUser(fields: Fields, folder: string): UserEntry {
  const clientCertificate = fields.fileOrData('client-certificate', folder)
  const clientKey = fields.fileOrData('client-key', folder)
  const token = fields.text('token')
  const tokenFile = fields.text('tokenFile')
  const username = fields.text('username')
  const password = fields.text('password')
  const exec = fields.inner('exec')
  return {
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(clientKey === undefined ? {} : { clientKey }),
    ...(token === undefined ? {} : { token }),
    ...(tokenFile === undefined ? {} : { tokenFile: within(folder, tokenFile) }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(exec === undefined ? {} : { exec: readExec(exec, folder) }),
    unsupported: UNSUPPORTED.filter((name) => fields.has(name)),
  }
}

function readExec(fields: Fields, folder: string): ExecEntry {
  const command = fields.text('command') ?? ''
  const installHint = fields.text('installHint')
  return {
    apiVersion: fields.text('apiVersion') ?? '',
    // A name without a slash is looked up in PATH.
    command: command.includes('/') ? within(folder, command) : command,
    args: fields.texts('args'),
    env: Object.fromEntries(
      fields.list('env').map((item) => [item.text('name') ?? '', item.text('value') ?? '']),
    ),
    provideClusterInfo: fields.flag('provideClusterInfo'),
    interactiveMode: fields.text('interactiveMode') ?? 'IfAvailable',
    ...(installHint === undefined ? {} : { installHint }),
  }
}

function within(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path)
}

/** Reads a list of `{name, <kind>: {…}}` as a map. */
function named<T>(root: Fields, list: string, kind: string, read: (fields: Fields) => T): Map<string, T> {
  const entries = new Map<string, T>()
  for (const item of root.list(list)) {
    const name = item.text('name') ?? ''
    if (entries.has(name)) throw root.invalid(`has the ${kind} ${quote(name)} twice`)
    entries.set(name, read(item.inner(kind) ?? asFields({}, root.what)))
  }
  return entries
}

/** The fields of one mapping, read by type; empty text and null are as good as nothing. */
interface Fields {
  readonly what: string
  has(name: string): boolean
  text(name: string): string | undefined
  texts(name: string): readonly string[]
  flag(name: string): boolean
  inner(name: string): Fields | undefined
  list(name: string): readonly Fields[]
  fileOrData(name: string, folder: string): FileOrData | undefined
  invalid(reason: string): CosignetError
}

function asFields(value: unknown, what: string): Fields {
  const invalid = (reason: string): CosignetError =>
    new CosignetError('INVALID_CONFIG', `${what} is not valid: it ${reason}.`)
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('has something else where a mapping belongs')
  }
  const map = value as Readonly<Record<string, unknown>>
  const get = <T>(name: string, is: (item: unknown) => item is T, kind: string): T | undefined => {
    const item = Object.hasOwn(map, name) ? map[name] : undefined
    if (item === undefined || item === null || item === '') return undefined
    if (!is(item)) throw invalid(`has no ${kind} as ${name}`)
    return item
  }
  const items = (name: string): readonly unknown[] => get(name, isList, 'list') ?? []
  const fields: Fields = {
    what,
    invalid,
    has: (name) => get(name, isThere, 'value') !== undefined,
    text: (name) => get(name, isText, 'text'),
    texts: (name) => {
      const texts = items(name)
      if (!texts.every(isText)) throw invalid(`has no list of texts as ${name}`)
      return texts
    },
    flag: (name) => get(name, isFlag, 'true or false') ?? false,
    inner: (name) => {
      const item = get(name, isThere, 'mapping')
      return item === undefined ? undefined : asFields(item, what)
    },
    list: (name) => items(name).map((item) => asFields(item, what)),
    fileOrData: (name, folder) => {
      const data = fields.text(`${name}-data`)
      if (data !== undefined) return { data: decode(data) ?? fail(invalid(`has no base64 as ${name}-data`)) }
      const path = fields.text(name)
      return path === undefined ? undefined : { path: within(folder, path) }
    },
  }
  return fields
}

const isThere = (item: unknown): item is unknown => item !== undefined
const isText = (item: unknown): item is string => typeof item === 'string'
const isFlag = (item: unknown): item is boolean => typeof item === 'boolean'
const isList = (item: unknown): item is readonly unknown[] => Array.isArray(item)

/** Decodes base64 that may be wrapped over lines. */
function decode(text: string): string | undefined {
  const base64 = text.replace(/\s+/g, '')
  const bytes = Buffer.from(base64, 'base64')
  return bytes.toString('base64') === base64 ? bytes.toString('utf8') : undefined
}

function fail(error: CosignetError): never {
  throw error
}
