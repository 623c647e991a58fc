/** Addresses that lead nowhere on the public Internet: this machine, this link, private networks (RFC 6890). */
const PRIVATE_NETWORKS = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['::', 127, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
] as const

/** Whether a host, as `URL.hostname` gives it, is an IP address and not a name. */
export function isAddressHost(hostname: string): boolean {
  return process.getBuiltinModule('node:net').isIP(unbracketed(hostname)) !== 0
}

/** Whether a host, as `URL.hostname` gives it, is written as a private address or as `localhost`; no name is looked up. */
export function isPrivateHost(hostname: string): boolean {
  if (!isAddressHost(hostname)) return hostname === 'localhost' || hostname.endsWith('.localhost')
  const { BlockList, isIP } = process.getBuiltinModule('node:net')
  const address = unbracketed(hostname)
  const networks = new BlockList()
  for (const [network, prefix, family] of PRIVATE_NETWORKS) networks.addSubnet(network, prefix, family)
  return networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function unbracketed(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}
