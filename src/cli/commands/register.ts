import {
  CosignetError,
  encodeUtf8,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../../core/index.ts'
import { formatResourceUri, type KbsClient, parseResourcePath, type ResourcePath } from '../../kbs/index.ts'
import { parsePublicKey } from '../../keys/index.ts'
import { parseReference } from '../../oci/index.ts'
import { createPolicy, parsePolicy } from '../../policy/index.ts'
import { defineCommand } from '../command.ts'
import { optionalText, parseText, switchFlag, textFlag } from '../flags.ts'
import { ADMIN_FLAGS, type AdminFlags, adminToken, KBS_FLAGS, type KbsFlags, withKbs } from '../kbs-access.ts'

interface Flags extends KbsFlags, AdminFlags {
  readonly key: string
  readonly keyPath: string
  readonly policy?: string | undefined
  readonly policyPath: string
  readonly replace: boolean
}

export const command = defineCommand<Flags, string[]>({
  brief: 'Hands a public key and a policy to a KBS: only the images named, signed with the key, may run.',
  details:
    'The policy rejects everything but the repositories of the images. With --policy a file of yours is stored instead.\n' +
    'What is there already is kept unless --replace is given (a KBS of Trustee cannot tell, and replaces it).',
  parameters: {
    flags: {
      ...KBS_FLAGS,
      ...ADMIN_FLAGS,
      key: textFlag('Public key, PEM', 'FILE'),
      keyPath: {
        kind: 'parsed',
        parse: parseText,
        default: 'default/sig-public-key/test',
        brief: 'Where the KBS keeps the key',
        placeholder: 'REPOSITORY/TYPE/TAG',
      },
      policy: optionalText('Policy to store in place of a new one', 'FILE'),
      policyPath: {
        kind: 'parsed',
        parse: parseText,
        default: 'default/security-policy/test',
        brief: 'Where the KBS keeps the policy',
        placeholder: 'REPOSITORY/TYPE/TAG',
      },
      replace: switchFlag('Replace a key or policy that is there'),
    },
    positional: {
      kind: 'array',
      parameter: { parse: parseText, placeholder: 'REFERENCE', brief: 'Image that may run' },
    },
  },
  async run(cli, flags, ...names) {
    const keyPath = parseResourcePath(flags.keyPath)
    const policyPath = parseResourcePath(flags.policyPath)
    const key = await readFileBounded(flags.key, LIMITS.keyBytes, 'public key')
    const { fingerprint } = parsePublicKey(key, `The public key ${quote(flags.key)}`)
    const policy = await policyFor(flags, names, keyPath)
    const token = await adminToken(flags)
    await withKbs(cli, flags, async (client) => {
      const store = storing(client, token, !flags.replace)
      // The key first: a policy that names a missing key denies every image.
      await store(keyPath, key)
      await store(policyPath, policy)
    })
    const keyUri = formatResourceUri(keyPath)
    const policyUri = formatResourceUri(policyPath)
    return {
      exit: 0,
      data: { keyUri, policyUri, fingerprint },
      text: `Stored the key ${keyUri} (fingerprint ${fingerprint})\nStored the policy ${policyUri}`,
    }
  },
})

async function policyFor(flags: Flags, names: readonly string[], keyPath: ResourcePath): Promise<Uint8Array> {
  if ((flags.policy === undefined) === (names.length === 0)) {
    throw new CosignetError('USAGE', 'Name either the images that may run, or a policy with --policy.')
  }
  if (flags.policy === undefined)
    return encodeUtf8(createPolicy(names.map(parseReference), formatResourceUri(keyPath)))
  const policy = await readFileBounded(flags.policy, LIMITS.policyBytes, 'policy file')
  parsePolicy(policy, `The policy ${quote(flags.policy)}`)
  return policy
}

function storing(client: KbsClient, token: string, ifAbsent: boolean) {
  return async (path: ResourcePath, bytes: Uint8Array): Promise<void> => {
    try {
      await client.setResource(path, bytes, { adminToken: token, ifAbsent })
    } catch (error) {
      if (!isCosignetError(error, 'ALREADY_EXISTS')) throw error
      throw new CosignetError('ALREADY_EXISTS', error.message, {
        cause: error,
        hint: 'Choose another path, or replace it with --replace.',
      })
    }
  }
}
