import { quote } from '../core/index.ts'
import { ConfigReader, type ConfigSchema, type ConfigWarning, unknownKeys } from './cdh-config-fields.ts'
import { parseToml } from './initdata-toml.ts'

/** What the guest's Attestation Agent reads from aa.toml (guest-components, `attestation-agent/src/config`). */
export interface AaConfig {
  /** Where tokens for CDH come from; without it CDH gets no resource from a KBS. */
  readonly kbs:
    | {
        readonly url: string
        /** PEM. */
        readonly cert: string | undefined
        readonly teeKeyAlgorithm: string
      }
    | undefined
  readonly cocoAs: { readonly url: string } | undefined
  /** What the guest accepts without a word and is probably not meant. */
  readonly warnings: readonly ConfigWarning[]
}

/**
 * Parses aa.toml as the guest does: unknown keys are skipped (and end up in `warnings`), a required or ill-typed one
 * stops the Attestation Agent.
 * @param what names the file in messages, for example "The aa.toml of pod.yaml".
 * @throws INVALID_TOML; INVALID_CONFIG with what the guest would do.
 */
export function parseAaConfig(text: string, what: string): AaConfig {
  const document = parseToml(text, what)
  const reader = new ConfigReader(
    document,
    what,
    'the Attestation Agent does not start, and the Pod times out',
  )
  const tokens = reader.table('token_configs')
  const kbs = tokens?.table('kbs')
  const cocoAs = tokens?.table('coco_as')
  const config = {
    kbs:
      kbs === undefined
        ? undefined
        : {
            url: kbs.requiredString('url'),
            cert: kbs.string('cert'),
            teeKeyAlgorithm: readTeeKeyAlgorithm(kbs),
          },
    cocoAs: cocoAs === undefined ? undefined : { url: cocoAs.requiredString('url') },
  }
  // Read for their types alone: a wrong one stops the agent like any other.
  const eventlog = reader.table('eventlog_config')
  eventlog?.count('init_pcr', 17)
  eventlog?.boolean('enable_eventlog', false)
  reader.table('log')?.string('level')
  return { ...config, warnings: [...reader.warnings, ...unknownKeys(document, SCHEMA, what, MISTAKEN)] }
}

const SCHEMA: ConfigSchema = {
  '': ['token_configs', 'eventlog_config', 'log'],
  token_configs: ['kbs', 'coco_as'],
  'token_configs.kbs': ['url', 'cert', 'tee_key_algorithm'],
  'token_configs.coco_as': ['url'],
  eventlog_config: ['init_pcr', 'enable_eventlog'],
  log: ['level'],
}

/** The two files name the same certificate differently. */
const MISTAKEN: Readonly<Record<string, string>> = { kbs_cert: 'cert in [token_configs.kbs]' }

const TEE_KEY_ALGORITHMS = ['ECDH-ES+A256KW-P256', 'ECDH-ES+A256KW-P521', 'RSA-OAEP-256']

function readTeeKeyAlgorithm(kbs: ConfigReader): string {
  const algorithm = kbs.string('tee_key_algorithm') ?? 'ECDH-ES+A256KW-P256'
  if (!TEE_KEY_ALGORITHMS.includes(algorithm)) {
    kbs.fail(`the tee_key_algorithm ${quote(algorithm)} is not one of ${TEE_KEY_ALGORITHMS.join(', ')}`)
  }
  return algorithm
}
