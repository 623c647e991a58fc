import { peer } from './peers.ts'
import type { Outcome, Sandbox } from './sandbox.ts'

/** Runs podman, which must exit with 0, on storage in the sandbox. It needs no privileges as long as nothing is run. */
export async function podman(sandbox: Sandbox, ...args: readonly string[]): Promise<Outcome> {
  return await sandbox.succeed('env', [...(await ownSettings(sandbox)), peer('podman'), ...args])
}

/**
 * Starts `podman system service`, which answers as a Docker daemon does, on the same storage.
 * @returns its address, `unix:///…`, as DOCKER_HOST names it.
 */
export async function startPodman(sandbox: Sandbox): Promise<string> {
  const address = `unix://${sandbox.path('podman.sock')}`
  const serve = ['--log-level', 'info', 'system', 'service', '--time', '0', address]
  const settings = await ownSettings(sandbox)
  await sandbox.serve('env', [...settings, peer('podman'), ...serve], /(API service listening)/)
  return address
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
