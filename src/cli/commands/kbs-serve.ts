import { join } from 'node:path'
import {
  CosignetError,
  encodeUtf8,
  isCosignetError,
  LIMITS,
  readFileBounded,
  writeFileAtomically,
} from '../../core/index.ts'
import { generateAdminKeyPair } from '../../kbs/client/index.ts'
import { createKbs, fileStorage, type KbsEvent } from '../../kbs/server/index.ts'
import type { ServeOptions } from '../../net/index.ts'
import { defineCommand } from '../command.ts'
import { optionalText, switchFlag, textFlag } from '../flags.ts'
import { LISTEN_FLAGS, type ListenFlags, parseListen, readTls, serveUntilStopped } from '../listen.ts'

interface Flags extends ListenFlags {
  readonly storage: string
  readonly adminPublicKey?: string | undefined
  readonly insecureHttp: boolean
  readonly insecureAllowSampleTee: boolean
}

export const command = defineCommand<Flags>({
  brief: 'Serves a Key Broker Service that keeps its resources in a folder, until it is stopped.',
  details:
    'It speaks the protocol of Trustee 0.21 and keeps files as Trustee does. Without --admin-public-key it makes an\n' +
    'administrator key at its first start: admin.key and admin.pub in the folder. Who got what goes to standard error.',
  parameters: {
    flags: {
      ...LISTEN_FLAGS,
      storage: textFlag('Folder that keeps resources, sessions and the token key', 'FOLDER'),
      adminPublicKey: optionalText('Public key of the administrators, PEM', 'FILE'),
      insecureHttp: switchFlag('Serve without TLS: the administration is not encrypted'),
      insecureAllowSampleTee: switchFlag(
        'Release every resource to sample evidence, which anyone can make up',
      ),
    },
  },
  async run(cli, flags) {
    const { host, port } = parseListen(flags.listen)
    const tls = await readTls(flags)
    if (tls === undefined && !flags.insecureHttp) {
      throw new CosignetError('USAGE', 'A KBS needs a certificate: --tls-cert and --tls-key.', {
        hint: 'For a demonstration on this machine, --insecure-http serves without one.',
      })
    }
    const admin = await adminKey(flags)
    const kbs = createKbs({
      storage: fileStorage(flags.storage),
      adminPublicKeyPem: admin.publicKeyPem,
      insecureAllowSampleTee: flags.insecureAllowSampleTee,
      log: (event) => cli.say(formatEvent(event)),
    })
    const options: ServeOptions = { host, port, ...(tls === undefined ? {} : { tls }) }
    await serveUntilStopped(cli, kbs, options, ({ url }) => {
      const { privateKeyPath } = admin
      cli.print({
        data: {
          url: url.origin,
          ...(privateKeyPath === undefined ? {} : { adminPrivateKey: privateKeyPath }),
        },
        text: [
          `KBS at ${url.origin}`,
          ...(privateKeyPath === undefined ? [] : [`Administrator key: ${privateKeyPath}`]),
        ].join('\n'),
      })
    })
    return { exit: 0, data: { stopped: true }, text: '' }
  },
})

interface AdminKey {
  readonly publicKeyPem: string
  /** Where the private half is, if this KBS made it. */
  readonly privateKeyPath?: string
}

async function adminKey(flags: Flags): Promise<AdminKey> {
  if (flags.adminPublicKey !== undefined) return { publicKeyPem: await readKey(flags.adminPublicKey) }
  const privateKeyPath = join(flags.storage, 'admin.key')
  const publicKeyPath = join(flags.storage, 'admin.pub')
  try {
    return { publicKeyPem: await readKey(publicKeyPath), privateKeyPath }
  } catch (error) {
    if (!isCosignetError(error, 'FILE')) throw error
  }
  const pair = generateAdminKeyPair()
  // The public half comes last: where it is, the pair is whole.
  await writeFileAtomically(privateKeyPath, encodeUtf8(pair.privateKeyPem), { mode: 0o600, exclusive: true })
  await writeFileAtomically(publicKeyPath, encodeUtf8(pair.publicKeyPem), { mode: 0o644, exclusive: true })
  return { publicKeyPem: pair.publicKeyPem, privateKeyPath }
}

async function readKey(path: string): Promise<string> {
  return Buffer.from(await readFileBounded(path, LIMITS.keyBytes, 'administrator key')).toString('utf8')
}

function formatEvent({ time, ...event }: KbsEvent): string {
  const details = Object.entries(event).filter(([, value]) => value !== undefined)
  return `${time.toISOString()} ${details.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(' ')}`
}
