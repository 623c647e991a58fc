import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CosignetError,
  decodeUtf8,
  errnoOf,
  fileError,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../core/index.ts'
import { NO_REGISTRIES_CONF, type RegistriesConf } from './registries-conf.ts'
import type { RegistriesConfFile } from './registries-conf-parse.ts'

export interface RegistriesConfOptions {
  /** CONTAINERS_REGISTRIES_CONF, CONTAINERS_REGISTRIES_CONF_OVERRIDE, XDG_CONFIG_HOME. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The home folder. */
  readonly home: string
  /** The numeric user; undefined where the system has none. */
  readonly uid?: number
  /** Default: `/etc/containers`, then `/usr/share/containers`. */
  readonly systemFolders?: readonly string[]
}

const NAME = 'registries.conf'
const SYSTEM_FOLDERS = ['/etc/containers', '/usr/share/containers']

/**
 * Reads the files of containers-registries.conf(5) where containers/image looks for them: `$CONTAINERS_REGISTRIES_CONF`
 * alone, or the first of `$XDG_CONFIG_HOME/containers`, `/etc/containers` and `/usr/share/containers` that has one, and
 * then the drop-ins of all three, sorted by name, where a user's takes the place of a system's.
 * @throws FILE, TOO_LARGE, and as `parseRegistriesConf`
 */
export async function readRegistriesConf(options: RegistriesConfOptions): Promise<RegistriesConf> {
  const { environment } = options
  const files: RegistriesConfFile[] = []
  const explicit = environment['CONTAINERS_REGISTRIES_CONF'] ?? ''
  if (explicit !== '') files.push(await readConf(explicit))
  else files.push(...(await Promise.all([readMain(options), readDropIns(options)])).flat())
  const override = environment['CONTAINERS_REGISTRIES_CONF_OVERRIDE'] ?? ''
  if (override !== '') files.push(await readConf(override))
  // Most machines have no rules, and should not load a parser for them.
  if (files.every(({ text }) => saysNothing(text))) return NO_REGISTRIES_CONF
  const { parseRegistriesConf } = await import('./registries-conf-parse.ts')
  return parseRegistriesConf(files)
}

function configFolders({
  environment,
  home,
  systemFolders = SYSTEM_FOLDERS,
}: RegistriesConfOptions): string[] {
  const user = join(environment['XDG_CONFIG_HOME'] || join(home, '.config'), 'containers')
  return [user, ...systemFolders]
}

async function readMain(options: RegistriesConfOptions): Promise<readonly RegistriesConfFile[]> {
  for (const folder of configFolders(options)) {
    try {
      return [await readConf(join(folder, NAME))]
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }
  return []
}

async function readDropIns(options: RegistriesConfOptions): Promise<readonly RegistriesConfFile[]> {
  const paths = new Map<string, string>()
  const folders = dropInFolders(options).reverse()
  const listed = await Promise.all(folders.map(listConf))
  for (const [i, folder] of folders.entries()) {
    for (const name of listed[i] ?? []) paths.set(name, join(folder, name))
  }
  const names = [...paths.keys()].sort()
  return await Promise.all(names.map(async (name) => await readConf(paths.get(name) ?? '')))
}

/** The most important first (containers/storage, `pkg/configfile`). */
function dropInFolders(options: RegistriesConfOptions): string[] {
  const [user = '', ...system] = configFolders(options)
  const { uid } = options
  const rootless = uid !== undefined && uid > 0
  const names = rootless
    ? [`${NAME}.d`, 'registries.rootless.conf.d', `registries.rootless.conf.d/${uid}`]
    : [`${NAME}.d`, 'registries.rootful.conf.d']
  return [join(user, `${NAME}.d`), ...system.flatMap((folder) => names.map((name) => join(folder, name)))]
}

async function listConf(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isFile() && entry.name.endsWith('.conf')).map(({ name }) => name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
    throw fileError(error, `The folder ${quote(folder)} cannot be read`)
  }
}

async function readConf(path: string): Promise<RegistriesConfFile> {
  const text = decodeUtf8(await readFileBounded(path, LIMITS.registriesConfBytes, 'registries configuration'))
  if (text !== undefined) return { path, text }
  throw new CosignetError('INVALID_TOML', `The file ${quote(path)} is not TOML: it is not UTF-8 text.`)
}

function isMissing(error: unknown): boolean {
  return isCosignetError(error, 'FILE') && ['ENOENT', 'ENOTDIR'].includes(errnoOf(error.cause) ?? '')
}

/** A line without meaning, or of a table of short names as distributions ship it, which is not used here. */
const NOTHING = /^\s*(?:(?:\[aliases\]|"[\w./-]+"\s*=\s*"[\w./:-]+")\s*)?(?:#|$)/

function saysNothing(text: string): boolean {
  const lines = text.split(/\r?\n/)
  const meant = lines.filter((line) => !/^\s*(?:#|$)/.test(line))
  return (meant.length === 0 || meant[0]?.trim() === '[aliases]') && meant.every((line) => NOTHING.test(line))
}
