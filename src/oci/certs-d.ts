import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CosignetError, errnoOf, fileError, LIMITS, quote, readFileBounded } from '../core/index.ts'

/** What a connection to one registry trusts and shows. */
export interface HostCertificates {
  /** PEM certificates of authorities, to trust beside the known ones. */
  readonly ca: readonly string[]
  /** PEM; proves who asks where the registry wants to know by TLS. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
}

export interface HostCertificatesOptions {
  /** The home folder. */
  readonly home: string
  /** A folder for whatever host, in place of the host's own folders. */
  readonly certDir?: string
  /** Default: `/etc/containers/certs.d`, then `/etc/docker/certs.d`. */
  readonly systemFolders?: readonly string[]
}

const SYSTEM_FOLDERS = ['/etc/containers/certs.d', '/etc/docker/certs.d']

/**
 * Reads the certificates for a registry (containers-certs.d(5)): of the first folder named after the host in
 * `~/.config/containers/certs.d`, `/etc/containers/certs.d` and `/etc/docker/certs.d`, every `*.crt` as an authority,
 * and `X.cert` with `X.key` as the client's own.
 * @param host with port, as in a reference.
 * @throws FILE, TOO_LARGE; INVALID_CONFIG for a certificate without a key, a key without a certificate, a pair that
 * does not belong together, more than one pair, and a file without PEM
 */
export async function readHostCertificates(
  host: string,
  options: HostCertificatesOptions,
): Promise<HostCertificates> {
  const { home, certDir, systemFolders = SYSTEM_FOLDERS } = options
  const parents = [join(home, '.config/containers/certs.d'), ...systemFolders]
  const folders = certDir === undefined ? parents.map((parent) => join(parent, host)) : [certDir]
  for (const folder of folders) {
    const names = await listFolder(folder, certDir !== undefined)
    if (names !== undefined) return await readFolder(folder, names)
  }
  return { ca: [] }
}

async function listFolder(folder: string, required: boolean): Promise<readonly string[] | undefined> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    // As for containers/image: what may not be looked into is not there.
    if (!required && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return undefined
    throw fileError(error, `The folder of certificates ${quote(folder)} cannot be read`)
  }
}

async function readFolder(folder: string, names: readonly string[]): Promise<HostCertificates> {
  const pairs = pairNames(folder, names)
  const authorities = names.filter((name) => name.endsWith('.crt'))
  const lists = await Promise.all(authorities.map(async (name) => await readAuthorities(join(folder, name))))
  const [pair] = pairs
  return {
    ca: lists.flat(),
    ...(pair === undefined ? {} : { clientCertificate: await readPair(folder, pair) }),
  }
}

function pairNames(folder: string, names: readonly string[]): readonly string[] {
  for (const [own, other] of [
    ['.cert', '.key'],
    ['.key', '.cert'],
  ] as const) {
    const alone = names.find((name) => name.endsWith(own) && !names.includes(swapEnd(name, own, other)))
    if (alone === undefined) continue
    throw new CosignetError(
      'INVALID_CONFIG',
      `The file ${quote(join(folder, alone))} lacks its ${quote(swapEnd(alone, own, other))}.`,
      { hint: 'A client certificate is X.cert with X.key; the certificate of an authority is X.crt.' },
    )
  }
  const pairs = names.filter((name) => name.endsWith('.cert')).map((name) => swapEnd(name, '.cert', ''))
  if (pairs.length <= 1) return pairs
  throw new CosignetError(
    'INVALID_CONFIG',
    `The folder ${quote(folder)} holds ${pairs.length} client certificates; one can be used.`,
    { hint: 'Move the others away, or name a folder with the right one by --cert-dir.' },
  )
}

function swapEnd(name: string, from: string, to: string): string {
  return `${name.slice(0, -from.length)}${to}`
}

async function readAuthorities(path: string): Promise<readonly string[]> {
  const certificates = certificatesIn(await readText(path, LIMITS.certificatesBytes, 'certificate file'))
  if (certificates.length > 0) return certificates
  throw new CosignetError('INVALID_CONFIG', `The certificate file ${quote(path)} holds no PEM certificate.`)
}

/** The PEM certificates in a text, each by itself. */
export function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
}

async function readPair(folder: string, name: string): Promise<{ cert: string; key: string }> {
  const path = join(folder, `${name}.cert`)
  const cert = await readText(path, LIMITS.certificatesBytes, 'client certificate')
  const key = await readText(join(folder, `${name}.key`), LIMITS.keyBytes, 'client key')
  if (belongTogether(cert, key)) return { cert, key }
  // Without a cause: OpenSSL may quote what it reads.
  throw new CosignetError(
    'INVALID_CONFIG',
    `The client certificate ${quote(path)} and its key are not a pair in PEM, the key without a password.`,
  )
}

function belongTogether(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

async function readText(path: string, limit: number, what: string): Promise<string> {
  return Buffer.from(await readFileBounded(path, limit, what)).toString('utf8')
}
