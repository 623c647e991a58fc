import { CosignetError, quote } from '../../core/index.ts'
import { type AuthStore, eraseAllLogins, eraseLogin } from '../../oci/index.ts'
import type { Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { optionalText, parseText, switchFlag } from '../flags.ts'
import { formatAuthKey, openAuthStore, parseAuthKey } from '../login-store.ts'

interface Flags {
  readonly all: boolean
  readonly authfile?: string | undefined
}

export const command = defineCommand<Flags, string[]>({
  brief: 'Forgets the login for a registry, or all of them.',
  details: 'Looks where login keeps it, and nowhere else.',
  parameters: {
    flags: {
      all: switchFlag('Forget all logins'),
      authfile: optionalText('File that the login is kept in', 'FILE'),
    },
    aliases: { a: 'all' },
    positional: {
      kind: 'array',
      maximum: 1,
      parameter: { parse: parseText, placeholder: 'REGISTRY', brief: 'HOST[:PORT], or a path in it' },
    },
  },
  async run(cli, flags, name) {
    if ((name === undefined) !== flags.all) {
      throw new CosignetError('USAGE', 'Give either a registry or --all.')
    }
    const store = await openAuthStore(cli, flags.authfile)
    return name === undefined ? await logoutAll(store) : await logout(store, name)
  },
})

async function logout(store: AuthStore, name: string): Promise<Outcome> {
  const key = parseAuthKey(name)
  const registry = formatAuthKey(key)
  if (await eraseLogin(store, key)) {
    return { exit: 0, data: { loggedOut: [registry] }, text: `Logged out of ${registry}` }
  }
  throw new CosignetError('NOT_FOUND', `There is no login for ${registry} in ${placeName(store)}.`, {
    hint: 'A login that another tool keeps in a file of its own is found by --authfile FILE.',
  })
}

async function logoutAll(store: AuthStore): Promise<Outcome> {
  const loggedOut = await eraseAllLogins(store)
  const count = loggedOut.length
  return {
    exit: 0,
    data: { loggedOut },
    text: `Logged out of ${count === 1 ? 'one registry' : `${count} registries`}`,
  }
}

function placeName({ path, helper }: AuthStore): string {
  return helper === undefined ? quote(path) : `the credential helper ${quote(helper)}`
}
