import { describe } from 'vitest'
import { isInstalled, type PeerName } from './peers.ts'

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
