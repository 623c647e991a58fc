import type { FlagParametersForType } from '@stricli/core'
import { CosignetError, LIMITS, quote, readFileBounded, systemClock } from '../core/index.ts'
import { KbsClient, signAdminToken } from '../kbs/client/index.ts'
import type { HttpClient } from '../net/index.ts'
import type { Cli } from './cli.ts'
import { optionalText, textFlag } from './flags.ts'
import { openHttp } from './http-access.ts'

/** The part of the HTTP client that a KBS is spoken to with. */
type KbsHttp = Pick<HttpClient, 'request'>

/** Which KBS a command speaks to. */
export interface KbsFlags {
  readonly url: string
  readonly kbsCa?: string | undefined
}

export const KBS_FLAGS: FlagParametersForType<KbsFlags> = {
  url: textFlag('The KBS', 'URL'),
  kbsCa: optionalText('PEM certificate of an authority to trust for the KBS', 'FILE'),
}

/** How an administrator shows who it is. */
export interface AdminFlags {
  readonly authPrivateKey?: string | undefined
  readonly adminTokenFile?: string | undefined
}

export const ADMIN_FLAGS: FlagParametersForType<AdminFlags> = {
  authPrivateKey: optionalText(
    'Ed25519 private key of the administrator; a token of five minutes is made of it',
    'FILE',
  ),
  adminTokenFile: optionalText('Token that the administration of the KBS issued', 'FILE'),
}

/** Lends a client of the KBS to `use` and closes the connections afterwards. */
export async function withKbs<T>(
  cli: Cli,
  flags: KbsFlags,
  use: (client: KbsClient) => Promise<T>,
): Promise<T> {
  const http = await openHttp(cli, { ca: flags.kbsCa })
  try {
    return await use(new KbsClient({ url: parseKbsUrl(flags.url), http: stoppable(http, cli.signal) }))
  } finally {
    http.close()
  }
}

/** HTTP whose requests end with the command, too. */
export function stoppable(http: KbsHttp, signal: AbortSignal): KbsHttp {
  return { request: (request) => http.request({ ...request, signal }) }
}

/** @throws USAGE */
export function parseKbsUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new CosignetError('USAGE', `${quote(text)} is not a URL such as https://kbs.example:8080.`)
  }
  return url
}

/** The administrator's token: read from a file, or signed with a key. @throws USAGE, FILE, INVALID_KEY */
export async function adminToken(flags: AdminFlags): Promise<string> {
  const { authPrivateKey, adminTokenFile } = flags
  if ((authPrivateKey === undefined) === (adminTokenFile === undefined)) {
    throw new CosignetError('USAGE', 'Give either --auth-private-key or --admin-token-file.')
  }
  if (adminTokenFile !== undefined) return (await readText(adminTokenFile, 'token file')).trim()
  const privateKeyPem = await readText(authPrivateKey ?? '', 'administrator key')
  return signAdminToken({ privateKeyPem, role: 'admin', now: systemClock() })
}

async function readText(path: string, what: string): Promise<string> {
  return Buffer.from(await readFileBounded(path, LIMITS.tokenBytes, what)).toString('utf8')
}
