import type { FlagParametersForType, TypedFlagParameter } from '@stricli/core'
import { CosignetError, quote } from '../core/index.ts'
import { optionalText } from './flags.ts'
import type { RegistrySettings } from './registry-settings.ts'

/** Whose flags: of the one registry that a command speaks to, or of a copy's source or destination. */
export type RegistrySide = '' | 'src' | 'dest'

interface SideFlags {
  readonly creds?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly noCreds?: boolean | undefined
  readonly registryToken?: string | undefined
  readonly certDir?: string | undefined
  readonly tlsVerify?: boolean | undefined
  readonly authfile?: string | undefined
}

/** Flags of a side, as skopeo spells them: `--creds`, `--src-creds`. */
export type RegistrySideFlags<Side extends RegistrySide> = {
  readonly [Name in keyof SideFlags as FlagName<Side, Name>]?: SideFlags[Name]
}

type FlagName<Side extends RegistrySide, Name extends string> = Side extends ''
  ? Name
  : `${Side}${Capitalize<Name>}`

/** Flags that hold for all sides. */
export interface SharedRegistryFlags {
  readonly authfile?: string | undefined
  readonly tlsVerify?: boolean | undefined
  readonly registryCa?: string | undefined
  readonly retryTimes?: string | undefined
}

const SEEN = 'others on this machine can see it, unlike what is in REGISTRY_AUTH_FILE'

const TLS_VERIFY: TypedFlagParameter<boolean | undefined> = {
  kind: 'boolean',
  optional: true,
  withNegated: false,
  brief: 'Require TLS with a certificate that is trusted; =false accepts any, and plain HTTP',
}
const AUTHFILE = optionalText(
  'File with the credentials (default: REGISTRY_AUTH_FILE, else those of podman and docker)',
  'FILE',
)

const SIDE_FLAGS: FlagParametersForType<SideFlags> = {
  creds: optionalText(`Log in with these; ${SEEN}`, 'USER[:PASSWORD]'),
  username: optionalText('Log in with this name, and the password given beside it', 'USER'),
  password: optionalText(`Log in with this; ${SEEN}`, 'PASSWORD'),
  noCreds: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not log in' },
  registryToken: optionalText(`Bearer token for the registry; ${SEEN}`, 'TOKEN'),
  certDir: optionalText('Folder with *.crt, *.cert and *.key to connect with', 'FOLDER'),
  tlsVerify: TLS_VERIFY,
  authfile: AUTHFILE,
}

/** The flags that `registrySettings` reads beside those of a side. */
export const SHARED_REGISTRY_FLAGS: FlagParametersForType<SharedRegistryFlags> = {
  authfile: AUTHFILE,
  tlsVerify: TLS_VERIFY,
  registryCa: optionalText('PEM certificate of an authority to trust beside the known ones', 'FILE'),
  retryTimes: optionalText('How often a request is repeated that failed for the moment', 'COUNT'),
}

/** The flags of a side. */
export function registryFlags<Side extends RegistrySide>(
  side: Side,
): FlagParametersForType<RegistrySideFlags<Side>> {
  const flags = Object.entries(SIDE_FLAGS).map(([name, flag]) => [flagName(side, name), flag])
  return Object.fromEntries(flags) as FlagParametersForType<RegistrySideFlags<Side>>
}

/**
 * How to reach the registries of a side, from its flags and those that all sides share.
 * @throws USAGE where flags contradict each other; no value of a flag with a secret enters the message.
 */
export function registrySettings<Side extends RegistrySide>(
  side: Side,
  flags: RegistrySideFlags<Side> & SharedRegistryFlags,
): RegistrySettings {
  const own = sideFlags(side, flags)
  const spell = (name: keyof SideFlags): string => `--${toKebab(flagName(side, name))}`
  const creds = readCreds(own, spell)
  const { registryToken, certDir } = own
  if (registryToken !== undefined && !/^[\x21-\x7e]+$/.test(registryToken)) {
    throw new CosignetError('USAGE', `The value of ${spell('registryToken')} cannot stand in a header.`)
  }
  const tlsVerify = own.tlsVerify ?? flags.tlsVerify
  const authfile = own.authfile ?? flags.authfile
  const { registryCa, retryTimes } = flags
  return {
    ...(creds === undefined ? {} : { creds }),
    ...(registryToken === undefined ? {} : { registryToken }),
    ...(certDir === undefined ? {} : { certDir }),
    ...(tlsVerify === undefined ? {} : { tlsVerify }),
    ...(authfile === undefined ? {} : { authfile }),
    ...(registryCa === undefined ? {} : { registryCa }),
    ...(retryTimes === undefined ? {} : { retries: parseRetries(retryTimes) }),
  }
}

function readCreds(own: SideFlags, spell: (name: keyof SideFlags) => string): RegistrySettings['creds'] {
  const { creds, username, password, noCreds = false } = own
  if (noCreds && creds !== undefined) throw contradiction(spell('noCreds'), spell('creds'))
  if (noCreds && username !== undefined) throw contradiction(spell('noCreds'), spell('username'))
  if (creds !== undefined && username !== undefined) throw contradiction(spell('creds'), spell('username'))
  if (noCreds) return 'none'
  if ((username === undefined) !== (password === undefined)) {
    throw new CosignetError('USAGE', `${spell('username')} and ${spell('password')} go together.`)
  }
  if (creds === undefined) {
    return username === undefined || password === undefined ? undefined : { username, password }
  }
  const colon = creds.indexOf(':')
  // As for skopeo: without a colon, there is no password.
  const pair = colon === -1 ? [creds, ''] : [creds.slice(0, colon), creds.slice(colon + 1)]
  const [name = '', secret = ''] = pair
  if (name !== '') return { username: name, password: secret }
  throw new CosignetError('USAGE', `${spell('creds')} has no user name before the colon.`)
}

function contradiction(one: string, other: string): CosignetError {
  return new CosignetError('USAGE', `${one} and ${other} contradict each other.`)
}

function parseRetries(text: string): number {
  if (/^[0-9]{1,3}$/.test(text)) return Number(text)
  throw new CosignetError('USAGE', `--retry-times is a number such as 3, not ${quote(text)}.`)
}

function flagName(side: RegistrySide, name: string): string {
  return side === '' ? name : `${side}${name.charAt(0).toUpperCase()}${name.slice(1)}`
}

function sideFlags(side: RegistrySide, flags: object): SideFlags {
  const entries = new Map(Object.entries(flags))
  return Object.fromEntries(Object.keys(SIDE_FLAGS).map((name) => [name, entries.get(flagName(side, name))]))
}

function toKebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
