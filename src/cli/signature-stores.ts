import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  CosignetError,
  decodeUtf8,
  errnoOf,
  fileError,
  LIMITS,
  quote,
  readFileBounded,
} from '../core/index.ts'
import {
  type ImageLocation,
  type ImageSource,
  parseReference,
  type Reference,
  RegistryClient,
  repositoryName,
} from '../oci/index.ts'
import {
  lookasideOf,
  openDirectorySignatures,
  openLookaside,
  parseRegistriesD,
  type RegistriesD,
  type RegistriesDFile,
  registrySignatureStore,
  type SignatureStore,
} from '../signature/index.ts'
import type { Cli } from './cli.ts'
import { trustedCertificates } from './http-access.ts'
import { placeOf, type RegistryAccess } from './registry-access.ts'
import { RegistryConnections } from './registry-connections.ts'

/** The store beside an image; or why there is none. */
export type FoundSignatureStore =
  | { readonly store: SignatureStore }
  | {
      readonly store: undefined
      /** A sentence without its full stop. */
      readonly reason: string
    }

export interface SignatureStoreOptions {
  /** The image's source, where it is open already. Default: it is opened once more. */
  readonly source?: ImageSource
  /** The authority to trust at stores that are read by `https:`. Default: the known ones alone. */
  readonly registryCa?: string | undefined
  /** The home folder. Default: the user's. */
  readonly home?: string
  /** Default: `/etc/containers/registries.d`. */
  readonly systemFolder?: string
  /** The numeric user. Default: the process's. */
  readonly uid?: number
}

const USER_FOLDER = '.config/containers/registries.d'
const SYSTEM_FOLDER = '/etc/containers/registries.d'
const USER_STORE = '.local/share/containers/sigstore'
const SYSTEM_STORE = '/var/lib/containers/sigstore'

/**
 * Finds the store of simple signatures beside an image, where containers/image has it: at a registry that announces the
 * extension X-Registry-Supports-Signatures the registry itself, at others the lookaside store that registries.d names,
 * else that of the user; in `dir:` the folder. Registries are asked when the store is first used; what it is called is
 * known once it has been read, and until then it is called by the repository.
 *
 * Signatures are read where the image is (registries.conf), and written at the registry that the reference names. Of
 * several mirrors none is asked: their signatures are looked for in the lookaside store of the image.
 * @throws INVALID_YAML, INVALID_CONFIG, UNSUPPORTED, FILE, TOO_LARGE for what registries.d says; and as `openDirectory`
 */
export async function openSignatureStore(
  cli: Cli,
  access: Pick<RegistryAccess, 'open' | 'openSource'>,
  location: ImageLocation,
  options: SignatureStoreOptions = {},
): Promise<FoundSignatureStore> {
  const { transport } = location
  if (transport === 'dir') return { store: await openDirectorySignatures(location.path) }
  if (transport !== 'docker') return { store: undefined, reason: `${transport}: keeps no OpenPGP signatures` }
  const { reference } = location
  const lookaside = await lookasides(cli, options)
  const beside = lookaside(reference)
  let name = repositoryName(reference)
  const find = async (signal: AbortSignal | undefined): Promise<SignatureStore> => {
    const source = options.source ?? (await access.openSource(reference))
    if (!(source instanceof RegistryClient)) return beside
    const { registry, repository } = parseReference(source.name)
    return await storeOf(source, () => lookaside({ ...reference, registry, repository }), signal)
  }
  const reading = once(async (signal) => {
    const store = await find(signal)
    name = store.name
    return store
  })
  const writing = once(async (signal) => await storeOf(await access.open(reference), () => beside, signal))
  return {
    store: {
      get name() {
        return name
      },
      list: async (digest, signal) => await (await reading(signal)).list(digest, signal),
      add: async (digest, signatures, signal) =>
        await (await writing(signal)).add(digest, signatures, signal),
      checkWritable: async (signal) => await (await writing(signal)).checkWritable(signal),
    },
  }
}

async function storeOf(
  registry: RegistryClient,
  lookaside: () => SignatureStore,
  signal: AbortSignal | undefined,
): Promise<SignatureStore> {
  const own = await registry.openSignatures(signal)
  return own === undefined ? lookaside() : registrySignatureStore(own, registry.name)
}

/** Does the work at the first call; again, where that failed. */
function once<T>(work: (signal: AbortSignal | undefined) => Promise<T>): typeof work {
  let done: Promise<T> | undefined
  return async (signal) => {
    done ??= work(signal)
    try {
      return await done
    } catch (error) {
      done = undefined
      throw error
    }
  }
}

/** What opens lookaside stores as registries.d has them. */
async function lookasides(
  cli: Cli,
  { registryCa, systemFolder = SYSTEM_FOLDER, ...place }: SignatureStoreOptions,
): Promise<(reference: Reference) => SignatureStore> {
  const { home, uid } = { ...placeOf(cli), ...place }
  const conf = await readRegistriesD([join(home, USER_FOLDER), systemFolder])
  const byDefault = pathToFileURL(uid === 0 ? SYSTEM_STORE : join(home, USER_STORE)).href
  return (reference) =>
    openLookaside({
      readUrl: lookasideOf(conf, reference, 'read') ?? byDefault,
      writeUrl: lookasideOf(conf, reference, 'write') ?? byDefault,
      repository: reference.repository,
      openHttp: async (host) => {
        const ca = await trustedCertificates(cli, registryCa)
        return (await new RegistryConnections(cli, {}, ca).connect(host, false)).http
      },
    })
}

/** All files of the first folder that is there. */
async function readRegistriesD(folders: readonly string[]): Promise<RegistriesD> {
  for (const folder of folders) {
    const names = await listIfThere(folder)
    if (names === undefined) continue
    const files = names.filter((name) => name.endsWith('.yaml')).sort()
    return await parseRegistriesD(await Promise.all(files.map((name) => readConf(join(folder, name)))))
  }
  return await parseRegistriesD([])
}

async function listIfThere(folder: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw fileError(error, `The folder ${quote(folder)} cannot be read`)
  }
}

async function readConf(path: string): Promise<RegistriesDFile> {
  const text = decodeUtf8(await readFileBounded(path, LIMITS.registriesDBytes, 'registries.d file'))
  if (text !== undefined) return { path, text }
  throw new CosignetError('INVALID_YAML', `The file ${quote(path)} is not YAML: it is not UTF-8 text.`)
}
