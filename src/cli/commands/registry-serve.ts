import { CosignetError, encodeUtf8, quote, systemClock, writeFileAtomically } from '../../core/index.ts'
import { isLoopbackHost, issueCertificates, type ServeOptions } from '../../net/index.ts'
import { createRegistry, fileStorage, memoryStorage } from '../../registry/index.ts'
import { defineCommand } from '../command.ts'
import { optionalText } from '../flags.ts'
import { LISTEN_FLAGS, type ListenFlags, parseListen, readTls, serveUntilStopped } from '../listen.ts'

interface Flags extends ListenFlags {
  readonly storage?: string | undefined
  readonly issueCa?: string | undefined
}

export const command = defineCommand<Flags>({
  brief: 'Serves an OCI registry, in memory or from a folder, until it is stopped.',
  details:
    'For demonstrations, tests and air gaps: whoever reaches it can read and write. Plain HTTP on loopback alone.',
  parameters: {
    flags: {
      ...LISTEN_FLAGS,
      storage: optionalText('Folder that keeps the images (default: memory)', 'FOLDER'),
      issueCa: optionalText(
        'Make a certificate for the host, and write the CA to trust to this file',
        'FILE',
      ),
    },
  },
  async run(cli, flags) {
    const { host, port } = parseListen(flags.listen)
    if (flags.issueCa !== undefined && (flags.tlsCert ?? flags.tlsKey) !== undefined) {
      throw new CosignetError('USAGE', 'Give either --issue-ca, or --tls-cert and --tls-key.')
    }
    const tls = flags.issueCa === undefined ? await readTls(flags) : await issueTls(host, flags.issueCa)
    if (tls === undefined && !isLoopbackHost(host)) {
      throw new CosignetError(
        'USAGE',
        `${quote(host)} is no loopback address, and there is no certificate.`,
        {
          hint: 'Give --tls-cert and --tls-key, or --issue-ca FILE.',
        },
      )
    }
    const storage = flags.storage === undefined ? memoryStorage() : await fileStorage(flags.storage)
    const options: ServeOptions = { host, port, ...(tls === undefined ? {} : { tls }) }
    await serveUntilStopped(cli, createRegistry({ storage }), options, ({ url }) => {
      cli.print({ data: { url: url.href, registry: url.host }, text: `Registry ${url.host} at ${url.href}` })
    })
    return { exit: 0, data: { stopped: true }, text: '' }
  },
})

async function issueTls(host: string, caFile: string): Promise<NonNullable<ServeOptions['tls']>> {
  const { ca, cert, key } = await issueCertificates({ hosts: [host, 'localhost'], now: systemClock() })
  await writeFileAtomically(caFile, encodeUtf8(ca), { mode: 0o644 })
  return { cert, key }
}
