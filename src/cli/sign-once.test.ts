import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { type RekorServer, startRekorServer } from '../../test/fixtures/rekor-server.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { generateKeyPair } from '../keys/index.ts'
import { HttpClient } from '../net/index.ts'
import { createLayout, type Digest, digestOf, MEDIA_TYPES, openLayout, parseManifest } from '../oci/index.ts'
import {
  openRekor,
  parseRekorKeys,
  readAttachments,
  readBundles,
  signBundle,
  type TransparencyLog,
} from '../signature/index.ts'
import { cosignForm } from './sign-as-cosign.ts'
import type { MadeSignature } from './sign-form.ts'
import { signOnce } from './sign-once.ts'

const INDEX = encodeUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }))
const IMAGE = parseManifest(INDEX, undefined, 'The image')
const OTHER = digestOf(encodeUtf8('another image'))
const noRegistry = async (): Promise<never> => {
  throw new Error('no test asks a registry')
}

let folder: string
let rekor: RekorServer
let http: HttpClient
let log: TransparencyLog
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-once-'))
  rekor = await startRekorServer()
  http = new HttpClient()
  const rekorKeys = parseRekorKeys(encodeUtf8(rekor.publicKeyPem), 'The key of the log')
  log = openRekor({ http, url: rekor.url, rekorKeys })
  const layout = await createLayout(folder)
  await layout.putManifest(IMAGE, { tag: 'v1' })
  await layout.commit()
})
afterEach(async () => {
  http.close()
  await rekor.close()
  await rm(folder, { recursive: true })
})

/** Signs in the layout with a new key. */
async function signInLayout(
  digests: readonly Digest[],
  to?: TransparencyLog,
): Promise<readonly MadeSignature[]> {
  const location = { transport: 'oci', path: folder } as const
  const form = cosignForm(quietCli(), {
    plan: { forms: ['cosign'], upload: true, identity: 'registry.example/team/app' },
    access: { open: noRegistry, openSource: noRegistry },
    key: generateKeyPair(),
    log: to,
  })
  const subject = { location, digests, getManifest: async () => IMAGE }
  return await form.sign(subject, new AbortController().signal)
}

/** Waits for files in the layout: the image, and of each signature a payload, a configuration and a manifest. */
async function filesThere(count: number): Promise<void> {
  const files = join(folder, 'blobs', 'sha256')
  while ((await readdir(files)).filter((name) => !name.startsWith('.')).length < count) await setTimeout(5)
}

describe('signOnce', () => {
  it('logs each signature once where another signs into the same layout before it is stored', async () => {
    let entered = 0
    const busy: TransparencyLog = {
      ...log,
      logSignature: async (signed, signal) => {
        entered += 1
        const entry = await log.logSignature(signed, signal)
        if (entered < 2 || signedByOther) return entry
        signedByOther = true
        // The signature on the one image is ready now, and the other is being made.
        await filesThere(6)
        await signInLayout([IMAGE.digest, OTHER])
        return entry
      },
    }
    let signedByOther = false
    const made = await signInLayout([IMAGE.digest, OTHER], busy)
    expect(made.map(({ alreadySigned }) => alreadySigned)).toEqual([false, false])
    for (const { digest, content } of made) {
      const signed = await readAttachments(await openLayout(folder), digest)
      expect(signed?.attachments.map(({ bundle }) => bundle !== undefined)).toEqual([false, true])
      expect(signed?.attachments[1]?.signature).toBe(Buffer.from(content).toString())
    }
    expect(rekor.requests).toEqual(['POST /api/v1/log/entries', 'POST /api/v1/log/entries'])
  })

  it('logs one bundle, however often it is stored', async () => {
    const signing = signOnce(generateKeyPair(), log)
    const sign = async (end: 'abort' | 'commit'): Promise<Uint8Array> => {
      const store = await createLayout(folder)
      const now = (): Date => new Date('2026-11-23T01:02:03Z')
      const { bundle } = await signBundle({ store, digest: IMAGE.digest, ...signing, now })
      await store[end]()
      return bundle
    }
    expect(await sign('abort')).toEqual(await sign('commit'))
    expect(await readBundles(await openLayout(folder), IMAGE.digest)).toHaveLength(1)
    expect(rekor.requests).toEqual(['POST /api/v1/log/entries'])
  })

  it('signs each message for itself, and keeps no failure', async () => {
    let calls = 0
    const failing: TransparencyLog = {
      ...log,
      logSignature: async (signed, signal) => {
        calls += 1
        if (calls === 1) throw new CosignetError('UNAVAILABLE', 'The log does not answer.')
        return await log.logSignature(signed, signal)
      },
    }
    const { key, log: once } = signOnce(generateKeyPair(), failing)
    const { sign, publicKey } = await key
    const [one, other] = ['1', '2'].map((text) => {
      const payload = encodeUtf8(text)
      return { payload, signature: sign(payload), key: publicKey }
    })
    if (one === undefined || other === undefined) throw new Error('There are two.')
    expect(sign(one.payload)).toBe(one.signature)
    await expect(once?.logSignature(one)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const entry = await once?.logSignature(one)
    expect(await once?.logSignature(one)).toBe(entry)
    expect(await once?.logSignature(other)).not.toEqual(entry)
    expect(rekor.requests).toHaveLength(2)
  })
})
