import { homedir } from 'node:os'
import type { FlagParametersForType } from '@stricli/core'
import { CosignetError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { createAuthFileCredentials, openRegistry, type Reference, type RegistryClient } from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { optionalText, switchFlag } from './flags.ts'

/** How a command reaches registries. */
export interface RegistryFlags {
  readonly registryCa?: string | undefined
  readonly insecureSkipTlsVerify: boolean
}

export const REGISTRY_FLAGS: FlagParametersForType<RegistryFlags> = {
  registryCa: optionalText('PEM certificate of an authority to trust beside the known ones', 'FILE'),
  insecureSkipTlsVerify: switchFlag('Accept any certificate of the registry'),
}

/** Opens an HTTP client that trusts the known roots, `SSL_CERT_FILE` and the file given. */
export async function openHttp(
  cli: Cli,
  flags: { readonly ca: string | undefined; readonly insecureSkipTlsVerify?: boolean },
): Promise<HttpClient> {
  const system = cli.environment['SSL_CERT_FILE'] ?? ''
  const ca = [
    // Like Go's programs, which take a file without certificates for an empty store.
    ...(system === '' ? [] : certificatesIn(await readCertificateFile(system))),
    ...(flags.ca === undefined ? [] : await readCertificates(flags.ca)),
  ]
  return new HttpClient({
    ca,
    environment: cli.environment,
    ...(flags.insecureSkipTlsVerify === true ? { insecureSkipTlsVerify: true } : {}),
    ...(cli.trace === undefined ? {} : { trace: cli.trace }),
  })
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

function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
}

/** Lends registries to `use` and closes the connections afterwards. */
export async function withRegistries<T>(
  cli: Cli,
  flags: RegistryFlags,
  use: (open: (reference: Reference) => RegistryClient) => Promise<T>,
): Promise<T> {
  const http = await openHttp(cli, {
    ca: flags.registryCa,
    insecureSkipTlsVerify: flags.insecureSkipTlsVerify,
  })
  const uid = process.getuid?.()
  const credentials = createAuthFileCredentials({
    environment: cli.environment,
    home: homedir(),
    ...(uid === undefined ? {} : { uid }),
  })
  try {
    return await use((reference) => openRegistry(reference, { http, credentials }))
  } finally {
    http.close()
  }
}
