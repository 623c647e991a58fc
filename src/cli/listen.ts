import type { FlagParametersForType } from '@stricli/core'
import { CosignetError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import { type RunningServer, type ServeOptions, type ServerApp, serve } from '../net/index.ts'
import type { Cli } from './cli.ts'
import { optionalText, parseText } from './flags.ts'

/** Where a server of ours listens, and with which certificate. */
export interface ListenFlags {
  readonly listen: string
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
}

export const LISTEN_FLAGS: FlagParametersForType<ListenFlags> = {
  listen: {
    kind: 'parsed',
    parse: parseText,
    default: '127.0.0.1:0',
    brief: 'Address to listen on; port 0 takes a free one',
    placeholder: 'HOST:PORT',
  },
  tlsCert: optionalText('Certificate chain, PEM', 'FILE'),
  tlsKey: optionalText('Private key of the certificate, PEM', 'FILE'),
}

/** Host and port of `--listen`; an IPv6 address stands in brackets. @throws USAGE */
export function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535) {
    throw new CosignetError('USAGE', `${quote(text)} is not an address such as 127.0.0.1:8080.`)
  }
  return { host, port }
}

/** Reads the certificate that the flags name, if they name one. @throws USAGE if only one half is given; FILE */
export async function readTls(flags: ListenFlags): Promise<NonNullable<ServeOptions['tls']> | undefined> {
  const { tlsCert, tlsKey } = flags
  if (tlsCert === undefined && tlsKey === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new CosignetError('USAGE', 'A certificate needs both --tls-cert and --tls-key.')
  }
  const read = async (path: string, what: string): Promise<string> =>
    Buffer.from(await readFileBounded(path, LIMITS.certificatesBytes, what)).toString('utf8')
  return {
    cert: await read(tlsCert, 'certificate file'),
    key: await read(tlsKey, 'key file of the certificate'),
  }
}

/** Serves until the command is told to stop; `started` is called once the server listens. */
export async function serveUntilStopped(
  cli: Cli,
  app: ServerApp,
  options: ServeOptions,
  started: (server: RunningServer) => void,
): Promise<void> {
  const server = await serve(app, options)
  try {
    started(server)
    if (!cli.signal.aborted) {
      await new Promise<void>((resolve) =>
        cli.signal.addEventListener('abort', () => resolve(), { once: true }),
      )
    }
  } finally {
    await server.close()
  }
}
