import { CosignetError, quote } from '../core/index.ts'
import { isLoopbackHost } from './loopback.ts'

export type ProxyEnvironment = Readonly<Record<string, string | undefined>>

/**
 * The proxy through which a URL is asked: HTTPS_PROXY for https, HTTP_PROXY for http (upper case before lower), unless
 * NO_PROXY names the host. They are read as Go's programs read them (golang.org/x/net/http/httpproxy), so that one
 * environment means one thing to all tools beside this one. Node's own reading, which is not used, takes a bare
 * `example.com` for that host alone, knows no CIDR, and asks the proxy for loopback.
 * @returns undefined where there is none. Its user and password, if any, must stay out of messages.
 * @throws INVALID_CONFIG if the variable holds no http or https URL
 */
export function proxyFor(url: URL, environment: ProxyEnvironment): URL | undefined {
  // A proxy's idea of 127.0.0.1 is another one.
  if (isLoopbackHost(url.hostname)) return undefined
  const variable = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const text = read(environment, variable)
  if (text === '' || isExcluded(url, read(environment, 'NO_PROXY'))) return undefined
  // Without a scheme, `proxy:3128` would be one.
  const proxy = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (proxy !== null && (proxy.protocol === 'http:' || proxy.protocol === 'https:') && isDecodable(proxy)) {
    return proxy
  }
  throw new CosignetError('INVALID_CONFIG', `${variable} does not hold the URL of an HTTP proxy.`, {
    hint: `Write it as http://host:port${proxy === null ? '' : `, not with ${quote(proxy.protocol)}`}.`,
  })
}

function read(environment: ProxyEnvironment, name: string): string {
  return environment[name] || environment[name.toLowerCase()] || ''
}

/** Node decodes user and password, and fails with a bare message where it cannot. */
function isDecodable({ username, password }: URL): boolean {
  try {
    return decodeURIComponent(username + password) !== undefined
  } catch {
    return false
  }
}

/**
 * Whether NO_PROXY names the host: `*`; a domain, which stands for its subdomains too; `.domain` or `*.domain` for
 * these alone; an IP address; each of them with a port; an IP range in CIDR notation.
 */
function isExcluded(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80'
  return noProxy.split(',').some((entry) => names(entry.trim().toLowerCase(), host, port))
}

function names(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  const { isIP } = process.getBuiltinModule('node:net')
  const range = /^(.+)\/(\d{1,3})$/.exec(entry)
  if (range !== null) return isIP(host) !== 0 && holds(range[1] ?? '', Number(range[2]), host)
  const [, bracketed, plain, entryPort] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? [
    undefined,
    undefined,
    entry,
  ]
  const name = bracketed ?? plain ?? ''
  if (name === '' || (entryPort !== undefined && entryPort !== port)) return false
  if (isIP(name) !== 0) return isIP(host) !== 0 && holds(name, isIP(name) === 6 ? 128 : 32, host)
  if (isIP(host) !== 0) return false
  const suffix = name.startsWith('*.') ? name.slice(1) : name
  return suffix.startsWith('.') ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`)
}

function holds(network: string, prefix: number, address: string): boolean {
  const { BlockList, isIP } = process.getBuiltinModule('node:net')
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(network) === 0 || prefix > (family === 'ipv6' ? 128 : 32)) return false
  const list = new BlockList()
  list.addSubnet(network, prefix, family)
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}
