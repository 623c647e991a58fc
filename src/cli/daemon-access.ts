import { HttpClient } from '../net/index.ts'
import { type DaemonHost, DEFAULT_DAEMON_HOST, parseDaemonHost } from '../oci/index.ts'
import type { Cli } from './cli.ts'

/** A Docker daemon that can be reached; who opened it closes the connections. */
export interface DaemonAccess {
  readonly http: HttpClient
  readonly host: DaemonHost
}

/**
 * Opens the way to the Docker daemon: the one named, that of `DOCKER_HOST`, or the local one. Plain TCP is spoken
 * where docker would: `DOCKER_HOST` without `DOCKER_TLS_VERIFY`.
 * @param name as `--src-daemon-host` has it.
 * @throws INVALID_CONFIG, UNSUPPORTED
 */
export function openDaemon(cli: Cli, name: string | undefined): DaemonAccess {
  const { environment } = cli
  const ofEnvironment = environment['DOCKER_HOST'] || DEFAULT_DAEMON_HOST
  const host =
    name === undefined
      ? parseDaemonHost(ofEnvironment, { tcp: environment['DOCKER_TLS_VERIFY'] ? 'https' : 'http' })
      : parseDaemonHost(name)
  const trace = cli.trace === undefined ? {} : { trace: cli.trace }
  return { host, http: new HttpClient({ ...host.client, environment, ...trace }) }
}
