import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  type Cannot,
  digestsOf,
  type MatrixBench,
  type MatrixImage,
  type MatrixKey,
  type MatrixProgram,
  tagOf,
} from './matrix.ts'
import { peer } from './peers.ts'
import type { Outcome } from './sandbox.ts'
import { addStoredSignature, readStoredSignatures } from './signature-stores.ts'

/** gpg knows nothing of images: what it signs is written here, and put beside the image where skopeo looks for it. */
export const GPG_PROGRAM: MatrixProgram = {
  name: 'gpg',
  label: 'gpg 2.2',
  makes: { openpgp: makeKey },
  signs: { cosign: refuses('secret'), bundle: refuses('secret'), simple: { does: sign } },
  verifies: { cosign: refuses('pub'), bundle: refuses('pub'), simple: { does: verify } },
}

/** Puts a secret key into the keyring of the sandbox, as gpg and skopeo sign with it. */
export async function importOpenPgpKey(bench: MatrixBench, secret: string): Promise<void> {
  await gpg(bench, '--import', secret)
}

/** The fingerprint of the one key in a file of public keys. */
export async function openPgpFingerprint(bench: MatrixBench, pub: string): Promise<string> {
  const { stdout } = await gpg(bench, '--with-colons', '--show-keys', pub)
  return /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? ''
}

async function makeKey(bench: MatrixBench, name: string): Promise<MatrixKey> {
  const user = `${name}@example.com`
  const [secret, pub] = [bench.sandbox.path(`${name}.secret.asc`), bench.sandbox.path(`${name}.asc`)]
  await gpg(bench, '--quick-generate-key', user, 'rsa3072', 'sign')
  await gpg(bench, '--armor', '--output', pub, '--export', user)
  await gpg(bench, '--armor', '--output', secret, '--export-secret-keys', user)
  return { secret, pub, fingerprint: await openPgpFingerprint(bench, pub) }
}

async function sign(bench: MatrixBench, { fingerprint }: MatrixKey, image: MatrixImage): Promise<void> {
  for (const digest of digestsOf(image)) {
    const payload = await bench.sandbox.write(
      `payload-${randomUUID()}`,
      JSON.stringify({
        critical: {
          identity: { 'docker-reference': tagOf(image) },
          image: { 'docker-manifest-digest': digest },
          type: 'atomic container signature',
        },
        optional: {},
      }),
    )
    await gpg(bench, '--local-user', fingerprint, '--output', `${payload}.gpg`, '--sign', payload)
    await addStoredSignature(bench, image, digest, await readFile(`${payload}.gpg`))
  }
}

/** Each manifest must have a message of the key whose payload names it and the repository. */
async function verify(
  bench: MatrixBench,
  { pub, fingerprint }: MatrixKey,
  image: MatrixImage,
): Promise<boolean> {
  const keyring = bench.sandbox.path(`${randomUUID()}.gpg`)
  await gpg(bench, '--no-default-keyring', '--keyring', keyring, '--import', pub)
  for (const digest of digestsOf(image)) {
    const payloads: string[] = []
    for (const blob of await readStoredSignatures(bench, image, digest)) {
      const payload = await verifyMessage(bench, { keyring, fingerprint, blob })
      if (payload !== undefined) payloads.push(payload)
    }
    if (!payloads.some((payload) => names(payload, image, digest))) return false
  }
  return true
}

/** @returns what was signed, if it was with this key. */
async function verifyMessage(
  { sandbox }: MatrixBench,
  { keyring, fingerprint, blob }: { keyring: string; fingerprint: string; blob: Uint8Array },
): Promise<string | undefined> {
  const message = await sandbox.write(`message-${randomUUID()}`, blob)
  const { status, stdout } = await sandbox.run(peer('gpg'), [
    ...['--batch', '--no-default-keyring', '--keyring', keyring, '--trust-model', 'always'],
    ...['--status-fd', '1', '--output', `${message}.payload`, '--decrypt', message],
  ])
  const valid = stdout.match(/^\[GNUPG:\] VALIDSIG .*$/gm) ?? []
  if (status !== 0 || valid.length !== 1 || valid[0]?.endsWith(fingerprint) !== true) return undefined
  return await readFile(`${message}.payload`, 'utf8')
}

function names(payload: string, image: MatrixImage, digest: string): boolean {
  const { critical }: SimplePayload = JSON.parse(payload)
  const repository = `${image.registry.host}/${image.repository}`
  return (
    critical.type === 'atomic container signature' &&
    critical.image['docker-manifest-digest'] === digest &&
    critical.identity['docker-reference'].replace(/:[^:/]*$/, '') === repository
  )
}

interface SimplePayload {
  readonly critical: {
    readonly type: string
    readonly image: { readonly 'docker-manifest-digest': string }
    readonly identity: { readonly 'docker-reference': string }
  }
}

/** Of other signatures, it cannot even read the key. */
function refuses(file: 'secret' | 'pub'): Cannot {
  return {
    cannot: 'gpg knows OpenPGP alone',
    asked: ({ sandbox }, key) => sandbox.run(peer('gpg'), ['--batch', '--import', key[file]]),
    says: /no valid OpenPGP data found/,
  }
}

function gpg({ sandbox }: MatrixBench, ...args: readonly string[]): Promise<Outcome> {
  return sandbox.succeed(peer('gpg'), [
    ...['--batch', '--pinentry-mode', 'loopback', '--passphrase', ''],
    ...args,
  ])
}
