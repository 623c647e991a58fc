import { dirname } from 'node:path'
import { CosignetError, isCosignetError, LIMITS, positionAt, quote } from '../core/index.ts'
import type { FileOrData } from './file-or-data.ts'
import { asFields, type Fields, within } from './kubeconfig-fields.ts'

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
