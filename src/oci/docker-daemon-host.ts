import { CosignetError, LIMITS, quote } from '../core/index.ts'
import { type HttpClientOptions, shownUrl } from '../net/index.ts'

/** Where a Docker daemon, or podman's service in its place, answers. */
export interface DaemonHost {
  /** As it was given, for messages: `unix:///var/run/docker.sock`. */
  readonly text: string
  /** Base of its API, with a slash at the end. */
  readonly url: URL
  /** What an `HttpClient` for it needs: the socket, and patience while it packs or stores an image. */
  readonly client: Pick<HttpClientOptions, 'socketPath' | 'patience'>
}

/** Where a daemon answers if nothing else is said (moby, client/client_unix.go). */
export const DEFAULT_DAEMON_HOST = 'unix:///var/run/docker.sock'

const PORTS = { http: '2375', https: '2376' } as const

/**
 * Parses the place of a Docker daemon as DOCKER_HOST and `--src-daemon-host` have it: `unix:///run/docker.sock`,
 * `tcp://host:2376`, `http://host:2375`, `https://host:2376`.
 * @param options.tcp what `tcp:` stands for. Default: `https`, as for skopeo; the docker command takes `http` unless
 * DOCKER_TLS_VERIFY is set.
 * @throws INVALID_CONFIG; UNSUPPORTED for `ssh:` and `npipe:`
 */
export function parseDaemonHost(
  text: string,
  options: { readonly tcp?: keyof typeof PORTS } = {},
): DaemonHost {
  const match = /^([a-z]+):\/\/(.*)$/s.exec(text)
  const scheme = match?.[1] ?? ''
  const rest = match?.[2] ?? ''
  const patience = { connectMs: LIMITS.connectMs, idleMs: LIMITS.daemonMs }
  switch (scheme) {
    case 'unix':
      if (!rest.startsWith('/') || rest.includes('\0')) throw invalid(text, 'it has no absolute path')
      return { text, url: new URL('http://localhost/'), client: { socketPath: rest, patience } }
    case 'tcp':
      return { text, url: parseUrl(options.tcp ?? 'https', rest, text), client: { patience } }
    case 'http':
    case 'https':
      return { text, url: parseUrl(scheme, rest, text), client: { patience } }
    case 'ssh':
      throw new CosignetError('UNSUPPORTED', `A Docker daemon is not reached through ssh: ${quote(text)}.`, {
        hint: 'Forward its socket with "ssh -L /tmp/docker.sock:/var/run/docker.sock HOST", and name unix:///tmp/docker.sock.',
      })
    case 'npipe':
      throw new CosignetError(
        'UNSUPPORTED',
        `A Docker daemon is not reached through a named pipe: ${quote(text)}.`,
      )
    default:
      throw invalid(text, 'it does not start with one of unix://, tcp://, http://, https://')
  }
}

function parseUrl(scheme: keyof typeof PORTS, rest: string, text: string): URL {
  const url = URL.parse(`${scheme}://${rest}`)
  if (url === null || rest.startsWith('/')) throw invalid(text, 'it has no host')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw invalid(text, 'it has more than a host, a port and a path')
  }
  // The URL leaves out a port that is the scheme's own.
  if (!/:\d+(?:\/|$)/.test(rest)) url.port = PORTS[scheme]
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

function invalid(text: string, reason: string): CosignetError {
  return new CosignetError(
    'INVALID_CONFIG',
    `${quote(shownUrl(text))} is not the place of a Docker daemon: ${reason}.`,
    {
      hint: `The usual one is ${DEFAULT_DAEMON_HOST}.`,
    },
  )
}
