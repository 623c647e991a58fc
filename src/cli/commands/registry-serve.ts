import { randomBytes } from 'node:crypto'
import {
  CosignetError,
  encodeUtf8,
  LIMITS,
  quote,
  readFileBounded,
  systemClock,
  writeFileAtomically,
} from '../../core/index.ts'
import { isLoopbackHost, issueCertificates, type ServeOptions } from '../../net/index.ts'
import {
  type Authenticator,
  createBasicAuth,
  createPasswordVerifier,
  createRegistry,
  fileStorage,
  memoryStorage,
  parseHtpasswd,
  type RegistryStorage,
} from '../../registry/index.ts'
import type { Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { optionalText, switchFlag } from '../flags.ts'
import { LISTEN_FLAGS, type ListenFlags, parseListen, readTls, serveUntilStopped } from '../listen.ts'

interface Flags extends ListenFlags {
  readonly storage?: string | undefined
  readonly htpasswd?: string | undefined
  readonly readOnly: boolean
  readonly issueCa?: string | undefined
}

const DETAILS = `OCI distribution-spec 1.1 with referrers, deletion and conditional pushes (If-Match). What was answered is on the
disk, also after a crash or a power cut. One process writes to a folder; any number may serve it with --read-only.

Without --htpasswd, whoever reaches it may read and write everything; with it, every user may. The file is read
once, at the start; 'htpasswd -B' writes its lines, and no other hash than bcrypt is taken. Plain HTTP is served on
loopback alone.

A manifest that is deleted leaves its blobs, which are deleted on their own.

Examples:
  cosignet registry serve --storage images --listen 127.0.0.1:5000
  cosignet registry serve --storage images --listen 0.0.0.0:5000 --tls-cert tls.crt --tls-key tls.key --htpasswd users
  cosignet registry serve --storage /media/usb/images --read-only --listen 192.0.2.7:5000 --issue-ca ca.crt`

export const command = defineCommand<Flags>({
  brief: 'Serves an OCI registry, in memory or from a folder, until it is stopped.',
  details: DETAILS,
  parameters: {
    flags: {
      ...LISTEN_FLAGS,
      storage: optionalText('Folder that keeps the images (default: memory)', 'FOLDER'),
      htpasswd: optionalText('Let in the users of this file alone', 'FILE'),
      readOnly: switchFlag('Refuse every push and deletion, and leave the folder as it is'),
      issueCa: optionalText(
        'Make a certificate for the host, and write the CA to trust to this file',
        'FILE',
      ),
    },
  },
  async run(cli, flags) {
    const { host, port } = parseListen(flags.listen)
    checkFlags(flags, host)
    const authenticate = flags.htpasswd === undefined ? undefined : await readUsers(flags.htpasswd)
    const storage = await openStorage(flags)
    try {
      const tls = flags.issueCa === undefined ? await readTls(flags) : await issueTls(host, flags.issueCa)
      const app = createRegistry({
        storage,
        readOnly: flags.readOnly,
        ...(authenticate === undefined ? {} : { authenticate }),
      })
      const options: ServeOptions = { host, port, ...(tls === undefined ? {} : { tls }) }
      await serveUntilStopped(cli, app, options, ({ url }) => cli.print(describe(url, flags)))
    } finally {
      await storage.close()
    }
    return { exit: 0, data: { stopped: true }, text: '' }
  },
})

/** Before anything is read or made. @throws USAGE */
function checkFlags({ issueCa, tlsCert, tlsKey, readOnly, storage }: Flags, host: string): void {
  if (issueCa !== undefined && (tlsCert ?? tlsKey) !== undefined) {
    throw new CosignetError('USAGE', 'Give either --issue-ca, or --tls-cert and --tls-key.')
  }
  if ((issueCa ?? tlsCert ?? tlsKey) === undefined && !isLoopbackHost(host)) {
    throw new CosignetError('USAGE', `${quote(host)} is no loopback address, and there is no certificate.`, {
      hint: 'Give --tls-cert and --tls-key, or --issue-ca FILE.',
    })
  }
  if (readOnly && storage === undefined) {
    throw new CosignetError('USAGE', 'A registry in memory that is read-only would stay empty.', {
      hint: 'Give --storage FOLDER.',
    })
  }
}

async function readUsers(path: string): Promise<Authenticator> {
  const bytes = await readFileBounded(path, LIMITS.htpasswdBytes, 'htpasswd file')
  return createBasicAuth({
    users: parseHtpasswd(bytes, `The htpasswd file ${quote(path)}`),
    verify: createPasswordVerifier(),
    clock: systemClock,
    secret: randomBytes(32),
  })
}

async function openStorage({ storage, readOnly }: Flags): Promise<RegistryStorage> {
  return storage === undefined ? memoryStorage() : fileStorage(storage, { readOnly })
}

async function issueTls(host: string, caFile: string): Promise<NonNullable<ServeOptions['tls']>> {
  const { ca, cert, key } = await issueCertificates({ hosts: [host, 'localhost'], now: systemClock() })
  await writeFileAtomically(caFile, encodeUtf8(ca), { mode: 0o644 })
  return { cert, key }
}

function describe(url: URL, { storage, htpasswd, readOnly }: Flags): Pick<Outcome, 'data' | 'text'> {
  const traits = [
    storage === undefined ? 'in memory' : `in ${quote(storage)}`,
    htpasswd === undefined ? 'open to all' : `for the users of ${quote(htpasswd)}`,
    ...(readOnly ? ['read-only'] : []),
  ]
  return {
    data: {
      url: url.href,
      registry: url.host,
      storage: storage ?? null,
      authentication: htpasswd === undefined ? 'none' : 'basic',
      readOnly,
    },
    text: `Registry ${url.host} at ${url.href}, ${traits.join(', ')}`,
  }
}
