import { CosignetError, collectBytes, LIMITS, quote } from '../../core/index.ts'
import {
  type AuthKey,
  createAuthFileCredentials,
  type Login,
  readRegistriesConf,
  storeLogin,
} from '../../oci/index.ts'
import type { Cli, Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText, switchFlag } from '../flags.ts'
import { formatAuthKey, openAuthStore, parseAuthKey } from '../login-store.ts'
import { askSecret } from '../password.ts'
import { openRegistryAccess, placeOf } from '../registry-access.ts'
import { registryFlags, registrySettings, SHARED_REGISTRY_FLAGS } from '../registry-flags.ts'

interface Flags {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly passwordStdin: boolean
  readonly getLogin: boolean
  readonly authfile?: string | undefined
  readonly certDir?: string | undefined
  readonly tlsVerify?: boolean | undefined
  readonly registryCa?: string | undefined
}

const { password, certDir, tlsVerify } = registryFlags('')

export const command = defineCommand<Flags, [string]>({
  brief: 'Logs in to a registry: tries a user name and password there, and keeps them.',
  details:
    'They are kept where podman and skopeo keep theirs: in the file given, else in $REGISTRY_AUTH_FILE, else in\n' +
    '$DOCKER_CONFIG/config.json, else in $XDG_RUNTIME_DIR/containers/auth.json; or in the credential helper that the\n' +
    'file names. A login for a path (ghcr.io/team) is found for all repositories below it.',
  parameters: {
    flags: {
      username: optionalText('User name; asked for on a terminal', 'USER'),
      password,
      passwordStdin: switchFlag('Read the password from standard input'),
      getLogin: switchFlag('Only print who is logged in'),
      authfile: optionalText('File to keep the login in', 'FILE'),
      certDir,
      tlsVerify,
      registryCa: SHARED_REGISTRY_FLAGS.registryCa,
    },
    aliases: { u: 'username', p: 'password' },
    positional: oneText('REGISTRY', 'HOST[:PORT], or a path in it'),
  },
  async run(cli, flags, name) {
    const key = parseAuthKey(name)
    if (flags.getLogin) return await tellLogin(cli, flags, key)
    const account = await readAccount(cli, flags, key)
    const { certDir, tlsVerify, registryCa } = flags
    const access = await openRegistryAccess(cli, registrySettings('', { certDir, tlsVerify, registryCa }))
    try {
      const { wanted, identityToken } = await access.login(key.registry, account)
      if (!wanted) cli.say(`WARN ${key.registry} asks nobody to log in, so the password was not tried.`)
      const { username } = account
      const login: Login =
        identityToken === undefined
          ? { kind: 'basic', ...account }
          : { kind: 'identity-token', username, token: identityToken }
      return await keep(cli, flags, key, login)
    } finally {
      access.close()
    }
  },
})

async function keep(cli: Cli, flags: Flags, key: AuthKey, login: Login): Promise<Outcome> {
  const store = await openAuthStore(cli, flags.authfile)
  const helper = await storeLogin(store, key, login)
  const { path } = store
  if (helper === undefined) {
    const what = login.kind === 'basic' ? 'password' : 'token'
    cli.say(`WARN The ${what} stands in ${path}, readable by you alone and not encrypted.`)
  }
  const registry = formatAuthKey(key)
  const { username } = login
  return {
    exit: 0,
    data: { registry, username, ...(helper === undefined ? { file: path } : { helper }) },
    text: `Logged in to ${registry} as ${username}`,
  }
}

async function tellLogin(cli: Cli, flags: Flags, key: AuthKey): Promise<Outcome> {
  const { authfile } = flags
  const place = placeOf(cli)
  const find = createAuthFileCredentials({
    ...place,
    ...(authfile === undefined
      ? { credentialHelpers: (await readRegistriesConf(place)).credentialHelpers }
      : { authFile: authfile }),
  })
  const found = await find(key.registry, key.path ?? '')
  const registry = formatAuthKey(key)
  if (found === undefined) throw new CosignetError('NOT_FOUND', `Nobody is logged in to ${registry}.`)
  // A helper keeps an identity token under no name.
  const username = found.username ?? '<token>'
  return { exit: 0, data: { registry, username }, text: username }
}

async function readAccount(
  cli: Cli,
  flags: Flags,
  key: AuthKey,
): Promise<{ username: string; password: string }> {
  if (flags.password !== undefined && flags.passwordStdin) {
    throw new CosignetError('USAGE', '--password and --password-stdin contradict each other.')
  }
  const asked = flags.password === undefined && !flags.passwordStdin
  if ((asked && !cli.interactive) || (flags.username === undefined && !(cli.interactive && asked))) {
    throw new CosignetError(
      'USAGE',
      `There is no terminal to ask for ${asked ? 'the password' : 'the user name'}.`,
      { hint: `Give both: cosignet login -u USER --password-stdin ${formatAuthKey(key)} < FILE` },
    )
  }
  const username = flags.username ?? (await askUsername(cli))
  const password =
    flags.password ?? (flags.passwordStdin ? await readStdin(cli) : await askSecret(cli, 'Password: '))
  if (username === '' || username.includes(':')) {
    throw new CosignetError('USAGE', `${quote(username)} is not a user name: it is empty, or has a colon.`)
  }
  if (password === '') throw new CosignetError('USAGE', 'The password is empty.')
  return { username, password }
}

async function askUsername(cli: Cli): Promise<string> {
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await terminal.question('Username: ', { signal: cli.signal })).trim()
  } finally {
    terminal.close()
  }
}

/** All of standard input, but the line break at its end. */
async function readStdin(cli: Cli): Promise<string> {
  const { stdin } = process
  const stop = (): void => void stdin.destroy()
  cli.signal.addEventListener('abort', stop, { once: true })
  try {
    const bytes = await collectBytes(stdin, LIMITS.tokenBytes, 'The password on standard input')
    return Buffer.from(bytes)
      .toString('utf8')
      .replace(/\r?\n$/, '')
  } catch (error) {
    if (!cli.signal.aborted) throw error
    throw new CosignetError('ABORTED', 'Stopped before it was done.', { cause: error })
  } finally {
    cli.signal.removeEventListener('abort', stop)
  }
}
