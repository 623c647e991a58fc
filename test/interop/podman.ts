import { peer } from './peers.ts'
import type { Outcome, Sandbox } from './sandbox.ts'

/** A podman with storage of its own. It needs no privileges as long as nothing is run. */
export interface TestPodman {
  /** Runs it; it must exit with 0. */
  run(...args: readonly string[]): Promise<Outcome>
  /**
   * Starts `podman system service`, which answers as a Docker daemon does.
   * @returns its address, `unix:///…`, as DOCKER_HOST names it.
   */
  serve(): Promise<string>
}

/** Sets up a podman in the sandbox; it ends with it. */
export async function createPodman(sandbox: Sandbox): Promise<TestPodman> {
  const command = [...(await ownSettings(sandbox)), peer('podman')]
  const run = (...args: readonly string[]): Promise<Outcome> => sandbox.succeed('env', [...command, ...args])
  // Files of other users, as they are in its storage, nobody else may remove.
  sandbox.atEnd(() => run('system', 'reset', '--force'))
  return {
    run,
    async serve() {
      const address = `unix://${sandbox.path('podman.sock')}`
      const serve = ['--log-level', 'info', 'system', 'service', '--time', '0', address]
      await sandbox.serve('env', [...command, ...serve], /(API service listening)/)
      return address
    },
  }
}

/** Variables by which podman finds its settings and storage in the sandbox and nowhere else. */
async function ownSettings(sandbox: Sandbox): Promise<readonly string[]> {
  const engine = await sandbox.write(
    'podman/containers.conf',
    `[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "${sandbox.path('run/libpod')}"
volume_path = "${sandbox.path('podman/volumes')}"
[network]
network_config_dir = "${sandbox.path('podman/networks')}"
`,
  )
  const storage = await sandbox.write(
    'podman/storage.conf',
    `[storage]
driver = "vfs"
graphroot = "${sandbox.path('podman/root')}"
runroot = "${sandbox.path('run/storage')}"
[storage.options.vfs]
ignore_chown_errors = "true"
`,
  )
  const registries = await sandbox.write('podman/registries.conf', '')
  await sandbox.write(
    'home/.config/containers/policy.json',
    '{"default": [{"type": "insecureAcceptAnything"}]}',
  )
  return [
    `CONTAINERS_CONF=${engine}`,
    `CONTAINERS_STORAGE_CONF=${storage}`,
    `CONTAINERS_REGISTRIES_CONF=${registries}`,
    'PODMAN_IGNORE_CGROUPSV1_WARNING=1',
  ]
}
