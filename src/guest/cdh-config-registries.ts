import { quote } from '../core/index.ts'
import { ConfigReader } from './cdh-config-fields.ts'
import { parseToml } from './initdata-toml.ts'

/** Where images are really pulled from (the part of containers-registries.conf(5) that the guest knows). */
export interface RegistriesConfig {
  /** Tried in turn for a name without a registry. Default: Docker Hub. */
  readonly unqualifiedSearchRegistries: readonly string[]
  readonly registries: readonly RegistryEntry[]
}

export interface RegistryEntry {
  /** What an image name is compared with; the location where none is given. */
  readonly prefix: string
  /** What stands in for the prefix; empty: nothing does. */
  readonly location: string
  /** Plain HTTP (the guest takes it as that, not as "TLS unchecked"). */
  readonly insecure: boolean
  readonly blocked: boolean
  /** Tried before the location. */
  readonly mirrors: readonly { readonly location: string; readonly insecure: boolean }[]
}

/**
 * Parses the document that `registry_configuration_uri` names (image-rs, `registry/mod.rs`). Unlike the table in
 * cdh.toml the guest reads it without conversions, so a warning about one means that it would fail there.
 * @throws INVALID_TOML, INVALID_CONFIG
 */
export function parseRegistriesConfig(text: string, what: string): RegistriesConfig {
  const reader = new ConfigReader(parseToml(text, what), what, 'the guest pulls no image')
  const config = readRegistriesConfig(reader)
  if (reader.warnings.length > 0) reader.fail('a value has the wrong type')
  return config
}

/** Reads the table, `[image.registry_config]` in cdh.toml. @throws INVALID_CONFIG */
export function readRegistriesConfig(reader: ConfigReader): RegistriesConfig {
  const search = reader.has('unqualified-search-registries')
    ? reader.strings('unqualified-search-registries')
    : ['docker.io']
  return { unqualifiedSearchRegistries: search, registries: reader.tables('registry').map(readEntry) }
}

function readEntry(reader: ConfigReader): RegistryEntry {
  const location = reader.string('location') ?? ''
  const prefix = reader.string('prefix') || location
  if (prefix === '') reader.fail('a registry has neither a prefix nor a location')
  if (prefix.startsWith('*.') && location === '') {
    reader.fail(`the registry with the prefix ${quote(prefix)} has a wildcard and no location`)
  }
  return {
    prefix,
    location,
    insecure: reader.boolean('insecure', false),
    blocked: reader.boolean('blocked', false),
    mirrors: reader.tables('mirror').map((mirror) => {
      const at = mirror.requiredString('location')
      if (at === '') mirror.fail('a mirror has an empty location')
      return { location: at, insecure: mirror.boolean('insecure', false) }
    }),
  }
}
