import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'

/** The real programs that tools/install-peers.sh installs. */
export type PeerName = 'cosign3' | 'cosign2' | 'skopeo' | 'docker-registry' | 'gpg' | 'openssl'

/** Path of a peer's program; it need not be there. */
export function peer(name: PeerName): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return join(process.env['COSIGNET_PEERS'] ?? join(cache, 'cosignet', 'peers'), 'bin', name)
}

/**
 * A group of tests that needs these peers. Where one is missing, CI fails; elsewhere the group is skipped under a name
 * that says which one it missed.
 */
export function describeWithPeers(title: string, names: readonly PeerName[], body: () => void): void {
  const missing = names.filter((name) => !isInstalled(name))
  if (missing.length === 0) {
    describe(title, body)
  } else if (process.env['CI'] === 'true') {
    throw new Error(`"${title}" needs ${missing.join(', ')}: run "make peers".`)
  } else {
    describe.skip(`${title} (skipped: ${missing.join(', ')} not installed, see "make peers")`, body)
  }
}

function isInstalled(name: PeerName): boolean {
  try {
    accessSync(peer(name), constants.X_OK)
    return true
  } catch {
    return false
  }
}
