import { CosignetError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import { HttpClient, type HttpClientOptions } from '../net/index.ts'
import { certificatesIn } from '../oci/index.ts'
import type { Cli } from './cli.ts'

/** Opens an HTTP client that trusts the known roots, `SSL_CERT_FILE` and the file given. */
export async function openHttp(cli: Cli, flags: { readonly ca: string | undefined }): Promise<HttpClient> {
  return new HttpClient(httpOptions(cli, await trustedCertificates(cli, flags.ca)))
}

/** What every HTTP client of a command takes from the process that it runs in. */
export function httpOptions(cli: Cli, ca: readonly string[]): HttpClientOptions {
  return { ca, environment: cli.environment, ...(cli.trace === undefined ? {} : { trace: cli.trace }) }
}

/** The certificates to trust beside the known ones: `SSL_CERT_FILE` and the file given. @throws as `readCertificates` */
export async function trustedCertificates(cli: Cli, path: string | undefined): Promise<readonly string[]> {
  const system = cli.environment['SSL_CERT_FILE'] ?? ''
  return [
    // Like Go's programs, which take a file without certificates for an empty store.
    ...(system === '' ? [] : certificatesIn(await readCertificateFile(system))),
    ...(path === undefined ? [] : await readCertificates(path)),
  ]
}

/** Reads a PEM file as a list of its certificates. @throws FILE, TOO_LARGE, INVALID_CONFIG */
export async function readCertificates(path: string): Promise<readonly string[]> {
  const certificates = certificatesIn(await readCertificateFile(path))
  if (certificates.length > 0) return certificates
  throw new CosignetError('INVALID_CONFIG', `The certificate file ${quote(path)} holds no PEM certificate.`)
}

async function readCertificateFile(path: string): Promise<string> {
  return Buffer.from(await readFileBounded(path, LIMITS.certificatesBytes, 'certificate file')).toString(
    'utf8',
  )
}
