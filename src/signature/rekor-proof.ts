import { createHash } from 'node:crypto'
import { constantTimeEqual, encodeUtf8 } from '../core/index.ts'
import { type PublicKey, verifySignature } from '../keys/index.ts'
import type { RekorProof } from './rekor-entry.ts'

/**
 * Verifies that a leaf is in a tree whose root the log has signed: the path to the root (RFC 9162, section 2.1.3.2),
 * and the signature on the checkpoint. The size in the checkpoint is not compared, as Rekor's own client does not: each
 * path that leads to a signed root leads from a leaf of that tree.
 * Follows Rekor, pkg/verify and pkg/util/signed_note.go.
 */
export function isProven(body: Uint8Array, proof: RekorProof, key: PublicKey): boolean {
  const root = rootOf(leafHash(body), proof)
  if (root === undefined || !constantTimeEqual(root, proof.rootHash)) return false
  const signedRoot = readCheckpoint(proof.checkpoint, key)
  return signedRoot !== undefined && constantTimeEqual(signedRoot, root)
}

function leafHash(body: Uint8Array): Buffer {
  return createHash('sha256')
    .update(Buffer.from([0]))
    .update(body)
    .digest()
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256')
    .update(Buffer.from([1]))
    .update(left)
    .update(right)
    .digest()
}

/** Follows the path upwards; undefined if it is too short or too long for the tree. */
function rootOf(leaf: Buffer, { logIndex, treeSize, hashes }: RekorProof): Buffer | undefined {
  if (logIndex >= treeSize) return undefined
  let node = BigInt(logIndex)
  let last = BigInt(treeSize) - 1n
  let hash = leaf
  for (const sibling of hashes) {
    if (last === 0n || sibling.byteLength !== leaf.byteLength) return undefined
    if (node % 2n === 1n || node === last) {
      hash = nodeHash(sibling, hash)
      while (node % 2n === 0n && node !== 0n) {
        node >>= 1n
        last >>= 1n
      }
    } else {
      hash = nodeHash(hash, sibling)
    }
    node >>= 1n
    last >>= 1n
  }
  return last === 0n ? hash : undefined
}

/** A line of a signed note: em dash, name, base64 of four bytes of the key's hash and the signature. */
const SIGNATURE_LINE = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/
const KEY_HASH_BYTES = 4
const SIGNATURES_MAX = 16

/** The root in a checkpoint, if every signature on it is of this key; undefined if it is none, or of another key. */
function readCheckpoint(checkpoint: string, key: PublicKey): Uint8Array | undefined {
  const split = checkpoint.lastIndexOf('\n\n')
  const lines = checkpoint.slice(split + 2).split('\n')
  if (split === -1 || lines.pop() !== '' || lines.length === 0 || lines.length > SIGNATURES_MAX)
    return undefined
  const note = checkpoint.slice(0, split + 1)
  if (!lines.every((line) => isSignedLine(line, encodeUtf8(note), key))) return undefined
  const [origin = '', size = '', root = ''] = note.split('\n')
  const bytes = Buffer.from(root, 'base64')
  const valid = origin !== '' && /^[0-9]+$/.test(size) && bytes.toString('base64') === root
  return valid ? bytes : undefined
}

function isSignedLine(line: string, note: Uint8Array, key: PublicKey): boolean {
  const bytes = Buffer.from(SIGNATURE_LINE.exec(line)?.[2] ?? '', 'base64')
  const hash = Buffer.from(key.fingerprint, 'hex').subarray(0, KEY_HASH_BYTES)
  if (!bytes.subarray(0, KEY_HASH_BYTES).equals(hash)) return false
  return verifySignature(key, note, bytes.subarray(KEY_HASH_BYTES), 'sha256')
}
