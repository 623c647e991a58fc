import { isIP } from 'node:net'
import { CosignetError, quote } from '../core/index.ts'

export interface CertificateRequest {
  /** DNS names and IP addresses that the certificate is for; at least one. */
  readonly hosts: readonly string[]
  /** The certificates are valid from an hour before this time. */
  readonly now: Date
  /** Days of validity from `now`. Default 365, at most 825. */
  readonly days?: number
}

/** A server certificate and what its clients are to trust, all PEM. */
export interface IssuedCertificates {
  /** Certificate of the authority: the trust anchor for clients. Its private key is gone. */
  readonly ca: string
  /** Certificate of the server. */
  readonly cert: string
  /** Private key of the server, PKCS #8, not encrypted. */
  readonly key: string
}

const DAY = 24 * 3600 * 1000
const HOUR = 3600 * 1000
const DAYS_DEFAULT = 365
/** The longest that Apple's and older browsers' verifiers take for a server certificate. */
const DAYS_MAX = 825
const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/**
 * Issues a server certificate by an authority made for it alone: P-256 keys, ECDSA with SHA-256, the profile of RFC
 * 5280 that OpenSSL, Go and rustls accept (CA:FALSE and serverAuth on the leaf, key identifiers, names in the SAN
 * only). The key of the authority is thrown away, so nothing else can be signed under it.
 * @throws INVALID_CONFIG if there is no host, or one that is neither a DNS name nor an IP address, or `days` is out of
 * range
 */
export async function issueCertificates(request: CertificateRequest): Promise<IssuedCertificates> {
  const { hosts, now, days = DAYS_DEFAULT } = request
  if (hosts.length === 0) throw new CosignetError('INVALID_CONFIG', 'A certificate needs at least one host.')
  if (!(days > 0 && days <= DAYS_MAX)) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `A certificate is valid for more than 0 and at most ${DAYS_MAX} days, not ${days}.`,
    )
  }
  const names = hosts.map(toSubjectAlternativeName)
  // The package needs this polyfill before it, and costs too much to load for commands that issue nothing.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const validity = {
    notBefore: new Date(now.getTime() - HOUR),
    notAfter: new Date(now.getTime() + days * DAY),
  }
  const caKeys = await crypto.subtle.generateKey(P256, false, ['sign', 'verify'])
  const leafKeys = await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    name: 'CN=Cosignet one-time CA',
    keys: caKeys,
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  })
  const leaf = await x509.X509CertificateGenerator.create({
    ...validity,
    subject: 'CN=Cosignet server',
    issuer: ca.subject,
    publicKey: leafKeys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.SubjectKeyIdentifierExtension.create(leafKeys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  })
  const key = await crypto.subtle.exportKey('pkcs8', leafKeys.privateKey)
  return {
    ca: `${ca.toString('pem')}\n`,
    cert: `${leaf.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
  }
}

const DNS_NAME = /^(?:\*\.)?(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/i

function toSubjectAlternativeName(host: string): { type: 'dns' | 'ip'; value: string } {
  if (isIP(host) !== 0) return { type: 'ip', value: host }
  if (host.length > 253 || !DNS_NAME.test(host)) {
    throw new CosignetError('INVALID_CONFIG', `${quote(host)} is neither a DNS name nor an IP address.`)
  }
  return { type: 'dns', value: host }
}
