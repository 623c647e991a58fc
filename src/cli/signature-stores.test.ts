import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { answer, type FaultyRegistry, startFaultyRegistry } from '../../test/fixtures/fault-proxy.ts'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { encodeUtf8 } from '../core/index.ts'
import { digestOf, digestParts, MEDIA_TYPES, parseLocation, parseReference } from '../oci/index.ts'
import type { SignatureStore } from '../signature/index.ts'
import { openRegistryAccess, type RegistryAccess } from './registry-access.ts'
import { openSignatureStore } from './signature-stores.ts'

const BYTES = encodeUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }))
const IMAGE = { bytes: BYTES, digest: digestOf(BYTES), mediaType: MEDIA_TYPES.ociIndex }
const FILE = `team/app@sha256=${digestParts(IMAGE.digest).hex}/signature-1`
/** Begins as an OpenPGP message does. */
const SIGNATURE = Buffer.from([0xa3, 1])

let root: string
let proxy: FaultyRegistry
let access: RegistryAccess
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cosignet-stores-'))
  proxy = await startFaultyRegistry()
  access = await openRegistryAccess(quietCli(), { retries: 0 })
  await (await access.open(parseReference(`${proxy.host}/team/app`))).putManifest(IMAGE)
})
afterEach(async () => {
  access.close()
  await proxy.close()
  await rm(root, { recursive: true })
})

async function put(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true })
  await writeFile(join(root, file), content)
}

async function open(location = `docker://${proxy.host}/team/app:v1`, uid = 1000): Promise<SignatureStore> {
  const options = { home: join(root, 'home'), systemFolder: join(root, 'etc'), uid }
  const { store } = await openSignatureStore(quietCli(), access, parseLocation(location), options)
  if (store === undefined) throw new Error('There is no store.')
  return store
}

/** The registry says nothing of signatures of its own. */
function silence(): void {
  proxy.on({ path: /^\/v2\/$/, fault: answer(200) })
}

describe('openSignatureStore', () => {
  it('takes the registry where it keeps signatures, whatever registries.d says', async () => {
    await put('etc/a.yaml', 'default-docker: {lookaside: https://lookaside.invalid}\n')
    const store = await open()
    await store.checkWritable()
    await store.add(IMAGE.digest, [SIGNATURE])
    await store.add(IMAGE.digest, [SIGNATURE])
    expect((await store.list(IMAGE.digest)).map(Buffer.from)).toEqual([SIGNATURE])
    expect(proxy.seen.filter(({ method, path }) => method === 'PUT' && /signatures/.test(path))).toHaveLength(
      1,
    )
  })

  it("refuses cosign's signatures there", async () => {
    const sigstore = Buffer.from('\0sigstore-json\n{"mimeType":"a/b","payload":"e30=","annotations":{}}')
    await expect((await open()).add(IMAGE.digest, [SIGNATURE, sigstore])).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: `The signature store of ${proxy.host}/team/app holds OpenPGP signatures alone.`,
    })
    expect(await (await open()).list(IMAGE.digest)).toEqual([])
  })

  it('takes the store of registries.d elsewhere', async () => {
    silence()
    await put('etc/a.yaml', `docker:\n  ${proxy.host}/team:\n    lookaside: file://${root}/store\n`)
    const store = await open()
    await store.add(IMAGE.digest, [SIGNATURE])
    expect(await readFile(join(root, 'store', FILE))).toEqual(SIGNATURE)
    expect(await store.list(IMAGE.digest)).toEqual([SIGNATURE])
    expect(store.name).toBe(`file://${root}/store`)
  })

  it("takes the user's files before the machine's, and only those that end in .yaml", async () => {
    silence()
    await put('etc/a.yaml', `default-docker: {lookaside: 'file://${root}/etc-store'}\n`)
    await put('home/.config/containers/registries.d/README', '{')
    await put(
      'home/.config/containers/registries.d/x.yaml',
      `default-docker: {lookaside: 'file://${root}/own'}\n`,
    )
    await put(join('own', FILE), SIGNATURE)
    expect(await (await open()).list(IMAGE.digest)).toEqual([SIGNATURE])
  })

  it("takes the user's own store where nothing is said", async () => {
    silence()
    await put(join('home/.local/share/containers/sigstore', FILE), SIGNATURE)
    expect(await (await open()).list(IMAGE.digest)).toEqual([SIGNATURE])
    // That of root is /var/lib/containers/sigstore.
    expect(await (await open(undefined, 0)).list(IMAGE.digest)).toEqual([])
  })

  it('asks the registry when it is first used, and once', async () => {
    const before = proxy.seen.length
    const store = await open()
    expect(proxy.seen).toHaveLength(before)
    await store.list(IMAGE.digest)
    await store.list(IMAGE.digest)
    await store.add(IMAGE.digest, [SIGNATURE])
    expect(proxy.seen.slice(before).filter(({ path }) => path === '/v2/')).toHaveLength(1)
  })

  it('is not found where the registry cannot be asked, and is when it can be again', async () => {
    proxy.on({ path: /^\/v2\/$/, calls: [1], fault: answer(500) })
    const store = await open()
    await expect(store.list(IMAGE.digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await store.list(IMAGE.digest)).toEqual([])
  })

  it('reads where the image was read, if that is one of several mirrors by the lookaside store alone', async () => {
    await put('etc/a.yaml', `default-docker: {lookaside: 'file://${root}/store'}\n`)
    await put(join('store', FILE), SIGNATURE)
    const mirrored = { ...access, openSource: async () => new MemoryImageStore() }
    const location = parseLocation(`docker://${proxy.host}/team/app:v1`)
    const options = { home: root, systemFolder: join(root, 'etc') }
    const { store } = await openSignatureStore(quietCli(), mirrored, location, options)
    expect(await store?.list(IMAGE.digest)).toEqual([SIGNATURE])
  })

  it('takes the folder of dir:', async () => {
    await put('image/version', 'Directory Transport Version: 1.1\n')
    await put('image/manifest.json', BYTES)
    await put('image/signature-1', SIGNATURE)
    expect(await (await open(`dir:${root}/image`)).list(IMAGE.digest)).toEqual([SIGNATURE])
  })

  it.each(['oci:x', 'oci-archive:x', 'docker-archive:x', 'docker-daemon:x:y'])(
    'says that %s has none',
    async (location) => {
      const found = await openSignatureStore(quietCli(), access, parseLocation(location))
      const transport = location.slice(0, location.indexOf(':'))
      expect(found).toEqual({ store: undefined, reason: `${transport}: keeps no OpenPGP signatures` })
    },
  )

  it.each([
    ['{', 'INVALID_YAML'],
    ['default-docker: {lookaside: /var/lib}', 'INVALID_CONFIG'],
    [Buffer.from([0xff]), 'INVALID_YAML'],
    [' '.repeat(1024 * 1024 + 1), 'TOO_LARGE'],
  ])('fails on a file that is wrong (%#)', async (text, code) => {
    await put('etc/a.yaml', text)
    await expect(open()).rejects.toMatchObject({ code })
  })

  it('fails where the settings cannot be read', async () => {
    await put('etc', 'a file')
    await expect(open()).rejects.toMatchObject({ code: 'FILE' })
  })
})
