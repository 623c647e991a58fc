import { X509Certificate } from 'node:crypto'
import { CosignetError, quote } from '../core/index.ts'
import type { Reference } from '../oci/index.ts'
import { guestHost } from './pull-fault.ts'

/**
 * Refuses to judge a registry whose own certificate was handed to the guest as an authority, as `openssl req -x509`
 * makes them: OpenSSL, and so Node, takes such a certificate for a server's, rustls, which most guests are built with,
 * does not (webpki, `CaUsedAsEndEntity`).
 * @param roots PEM, one certificate each; what is no certificate is left to who connects.
 * @throws UNSUPPORTED
 */
export function refuseSelfSigned(roots: readonly string[], reference: Pick<Reference, 'registry'>): void {
  const { hostname } = new URL(`https://${guestHost(reference)}`)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isAddress = host.includes(':') || /^[0-9.]+$/.test(host)
  const own = roots.some((pem) => {
    const certificate = parse(pem)
    if (certificate?.ca !== true) return false
    return (isAddress ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined
  })
  if (!own) return
  throw new CosignetError(
    'UNSUPPORTED',
    `Whether the guest trusts the registry ${quote(reference.registry)} is open: extra_root_certificates has a certificate that is an authority (CA:TRUE) and a server's in one, which guests built with rustls refuse.`,
    {
      hint: 'Give the registry a certificate of its own (CA:FALSE), and the guest the authority that issued it.',
    },
  )
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}
