import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What tools/install-peers.sh installs: real programs, and the root file systems of a Debian (`rootfs/ARCHITECTURE`). */
export type PeerName =
  | 'cosign3'
  | 'cosign2'
  | 'cosign22'
  | 'skopeo'
  | 'crane'
  | 'oras'
  | 'umoci'
  | 'podman'
  | 'docker-registry'
  | 'olareg'
  | 'oci-conformance'
  | 'gpg'
  | 'openssl'
  | 'rootfs'

/** Where tools/install-peers.sh put them. */
export function peersFolder(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return process.env['COSIGNET_PEERS'] ?? join(cache, 'cosignet', 'peers')
}

/** Path of a peer's program or folder; it need not be there. */
export function peer(name: PeerName): string {
  return name === 'rootfs' ? join(peersFolder(), name) : join(peersFolder(), 'bin', name)
}

export function isInstalled(name: PeerName): boolean {
  try {
    accessSync(peer(name), constants.X_OK)
    return true
  } catch {
    return false
  }
}
