import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MatrixBench, MatrixImage } from './matrix.ts'
import { sendToRegistry } from './registry-http.ts'

/**
 * Puts an OpenPGP signature beside an image where containers/image looks for it: into the registry if that says that it
 * keeps such signatures, else into the lookaside store.
 */
export async function addStoredSignature(
  bench: MatrixBench,
  image: MatrixImage,
  digest: string,
  blob: Uint8Array,
): Promise<void> {
  if (await keepsSignatures(image)) {
    const signature = {
      schemaVersion: 2,
      name: `${digest}@${randomBytes(16).toString('hex')}`,
      type: 'atomic',
      content: Buffer.from(blob).toString('base64'),
    }
    const request = { body: JSON.stringify(signature), type: 'application/json' }
    await sendToRegistry(image.registry, 'PUT', extensionPath(image, digest), request)
  } else {
    const there = await readStoredSignatures(bench, image, digest)
    await bench.sandbox.write(lookasideName(image, digest, there.length + 1), blob)
  }
}

/** All that stand beside one manifest, in their order. */
export async function readStoredSignatures(
  bench: MatrixBench,
  image: MatrixImage,
  digest: string,
): Promise<readonly Uint8Array[]> {
  if (await keepsSignatures(image)) {
    const { body } = await sendToRegistry(image.registry, 'GET', extensionPath(image, digest))
    const { signatures }: { signatures: { content: string }[] } = JSON.parse(body)
    return signatures.map(({ content }) => Buffer.from(content, 'base64'))
  }
  const found: Uint8Array[] = []
  for (;;) {
    const path = bench.sandbox.path(lookasideName(image, digest, found.length + 1))
    const blob = await readFile(path).catch(() => undefined)
    if (blob === undefined) return found
    found.push(blob)
  }
}

async function keepsSignatures({ registry }: MatrixImage): Promise<boolean> {
  const { headers } = await sendToRegistry(registry, 'GET', '/v2/')
  return headers['x-registry-supports-signatures'] === '1'
}

function extensionPath({ repository }: MatrixImage, digest: string): string {
  return `/extensions/v2/${repository}/signatures/${digest}`
}

function lookasideName({ repository }: MatrixImage, digest: string, n: number): string {
  return join('lookaside', `${repository}@${digest.replace(':', '=')}`, `signature-${n}`)
}
