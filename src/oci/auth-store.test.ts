import { chmod, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AuthFilePaths, authFileToWrite } from './auth-document.ts'
import { createAuthFileCredentials } from './auth-files.ts'
import { type AuthStore, eraseAllLogins, eraseLogin, type Login, storeLogin } from './auth-store.ts'

const ALICE: Login = { kind: 'basic', username: 'alice', password: 'canary:pw' }
const TOKEN: Login = { kind: 'identity-token', username: 'alice', token: 'canary-token' }
/** base64 of `alice:canary:pw` and of `alice:`. */
const ALICE_AUTH = 'YWxpY2U6Y2FuYXJ5OnB3'
const ALICE_ALONE = 'YWxpY2U6'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cosignet-store-'))
})
afterEach(async () => {
  await rm(home, { recursive: true })
})

function storeAt(name: string, environment: AuthStore['environment'] = {}): AuthStore {
  return { path: join(home, name), environment }
}

async function write(path: string, content: unknown): Promise<void> {
  const file = join(home, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
}

async function read(path: string): Promise<unknown> {
  return JSON.parse(await readFile(join(home, path), 'utf8'))
}

describe('a login in a file', () => {
  it('is written as skopeo writes it, for its owner alone', async () => {
    const store = storeAt('new/auth.json')
    expect(await storeLogin(store, { registry: 'r.io:5000' }, ALICE)).toBeUndefined()
    // skopeo 1.22: skopeo login -u alice -p canary:pw r.io:5000
    const expected = `{\n\t"auths": {\n\t\t"r.io:5000": {\n\t\t\t"auth": "${ALICE_AUTH}"\n\t\t}\n\t}\n}`
    expect(await readFile(store.path, 'utf8')).toBe(expected)
    expect((await lstat(store.path)).mode & 0o777).toBe(0o600)
    expect((await lstat(dirname(store.path))).mode & 0o777).toBe(0o700)
  })

  it('is found again, also for a path and with an identity token', async () => {
    const store = storeAt('auth.json')
    await storeLogin(store, { registry: 'r.io' }, ALICE)
    await storeLogin(store, { registry: 'r.io', path: 'team/a' }, TOKEN)
    await storeLogin(store, { registry: 'docker.io' }, { ...ALICE, username: 'hub' })
    expect(await read('auth.json')).toEqual({
      auths: {
        'r.io': { auth: ALICE_AUTH },
        'r.io/team/a': { auth: ALICE_ALONE, identitytoken: 'canary-token' },
        'docker.io': { auth: Buffer.from('hub:canary:pw').toString('base64') },
      },
    })
    const find = createAuthFileCredentials({ environment: {}, home, authFile: store.path })
    expect(await find('r.io', 'team')).toEqual(ALICE)
    expect(await find('r.io', 'team/a/b')).toEqual(TOKEN)
    expect(await find('docker.io', 'library/alpine')).toMatchObject({ username: 'hub' })
  })

  it('leaves all else as it is', async () => {
    const document = {
      HttpHeaders: { 'User-Agent': 'x' },
      auths: { 'b.io': { auth: 'Yjpi', email: 'b@b.io' }, 'https://index.docker.io/v1/': { auth: 'Yzpj' } },
      credHelpers: { 'gcr.io': 'gcloud' },
      detachKeys: 'ctrl-e',
      plugins: { '-x-cli-hints': { enabled: 'true' }, list: [1, 2.5, null, true] },
    }
    await write('config.json', document)
    await storeLogin(storeAt('config.json'), { registry: 'a.io' }, ALICE)
    const expected = { ...document, auths: { ...document.auths, 'a.io': { auth: ALICE_AUTH } } }
    expect(await readFile(join(home, 'config.json'), 'utf8')).toBe(JSON.stringify(expected, undefined, '\t'))
    expect(await eraseLogin(storeAt('config.json'), { registry: 'a.io' })).toBe(true)
    expect(await readFile(join(home, 'config.json'), 'utf8')).toBe(JSON.stringify(document, undefined, '\t'))
  })

  it.each([
    ['auth.json', {}, 'docker.io', 'docker.io'],
    ['config.json', {}, 'docker.io', 'https://index.docker.io/v1/'],
    ['config.json', {}, 'r.io', 'r.io'],
    ['auth.json', { 'https://index.docker.io/v1/': {} }, 'docker.io', 'https://index.docker.io/v1/'],
    ['auth.json', { 'index.docker.io': {}, 'docker.io': {} }, 'docker.io', 'index.docker.io'],
    ['auth.json', { 'https://r.io/v2/': {} }, 'r.io', 'https://r.io/v2/'],
  ])('in %s with %j is for %s under %s', async (name, auths, registry, key) => {
    await write(name, { auths })
    await storeLogin(storeAt(name), { registry }, ALICE)
    expect(await read(name)).toEqual({ auths: { [key]: { auth: ALICE_AUTH } } })
    expect(await eraseLogin(storeAt(name), { registry })).toBe(true)
    expect(await read(name)).toEqual({ auths: {} })
    expect(await eraseLogin(storeAt(name), { registry })).toBe(false)
  })

  it('is erased without that for a path, and the other way round', async () => {
    await write('a.json', { auths: { 'r.io': { auth: 'YTph' }, 'r.io/team': { auth: 'Yjpi' } } })
    await eraseLogin(storeAt('a.json'), { registry: 'r.io' })
    expect(await read('a.json')).toEqual({ auths: { 'r.io/team': { auth: 'Yjpi' } } })
    expect(await eraseAllLogins(storeAt('a.json'))).toEqual(['r.io/team'])
    expect(await read('a.json')).toEqual({ auths: {} })
    expect(await eraseAllLogins(storeAt('a.json'))).toEqual([])
  })

  it('goes through a link to the file that it names', async () => {
    await write('real.json', '')
    await chmod(join(home, 'real.json'), 0o644)
    await symlink(join(home, 'real.json'), join(home, 'link.json'))
    await storeLogin(storeAt('link.json'), { registry: 'r.io' }, ALICE)
    expect((await lstat(join(home, 'link.json'))).isSymbolicLink()).toBe(true)
    expect(await read('real.json')).toEqual({ auths: { 'r.io': { auth: ALICE_AUTH } } })
    expect((await lstat(join(home, 'real.json'))).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['{', 'it is not JSON'],
    ['{"auths": 1}', '"auths" is not an object'],
    ['{"auths": {}, "auths": {}}', 'it is not JSON'],
  ])('is not written over what is not understood: %s', async (text, message) => {
    await write('a.json', text)
    await expect(storeLogin(storeAt('a.json'), { registry: 'r.io' }, ALICE)).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining(message),
    })
    expect(await readFile(join(home, 'a.json'), 'utf8')).toBe(text)
  })
})

describe('a login in a credential helper', () => {
  /** A helper that keeps what it is told in files, and logs how it is called. */
  const SCRIPT = `#!/bin/sh
echo "$@" >> "$LOG"
input=$(cat)
case $1 in
  store) echo "$input" > "$KEPT" ;;
  get) [ -f "$KEPT" ] && cat "$KEPT" || { echo credentials not found in native keychain; exit 1; } ;;
  erase) rm "$KEPT"; echo "$input" >> "$LOG" ;;
  list) [ -f "$KEPT" ] && echo '{"r.io":"alice"}' || echo '{}' ;;
esac
`
  async function helper(name: string): Promise<AuthStore['environment']> {
    await write(`bin/docker-credential-${name}`, SCRIPT)
    await chmod(join(home, `bin/docker-credential-${name}`), 0o755)
    return {
      PATH: `${join(home, 'bin')}:/usr/bin:/bin`,
      LOG: join(home, 'log'),
      KEPT: join(home, 'kept'),
    }
  }

  it.each([
    ['credHelpers', { credHelpers: { 'r.io': 'x' } }, 'r.io', 'r.io'],
    ['credsStore', { credsStore: 'x' }, 'r.io', 'r.io'],
    ['credsStore', { credsStore: 'x' }, 'docker.io', 'https://index.docker.io/v1/'],
    ['credHelpers', { credHelpers: { 'docker.io': 'x' } }, 'docker.io', 'docker.io'],
  ])('of %s is nowhere else', async (_name, document, registry, server) => {
    const store = storeAt('auth.json', await helper('x'))
    await write('auth.json', { ...document, auths: { [registry]: { auth: 'b2xkOm9sZA==' } } })
    expect(await storeLogin(store, { registry }, ALICE)).toBe('x')
    expect(await read('kept')).toEqual({ ServerURL: server, Username: 'alice', Secret: 'canary:pw' })
    // The mark that docker leaves, too.
    expect(await read('auth.json')).toEqual({ ...document, auths: { [registry]: {} } })
    const find = createAuthFileCredentials({ environment: store.environment, home, authFile: store.path })
    expect(await find(registry, 'a')).toEqual(ALICE)
    expect(await eraseLogin(store, { registry })).toBe(true)
    expect(await read('auth.json')).toEqual({ ...document, auths: {} })
    expect(await find(registry, 'a')).toBeUndefined()
    expect(await readFile(join(home, 'log'), 'utf8')).toBe(`store\nget\nget\nerase\n${server}\nget\n`)
  })

  it('keeps an identity token as docker has it keep one', async () => {
    const store = { ...storeAt('auth.json', await helper('x')), helper: 'x' }
    expect(await storeLogin(store, { registry: 'r.io' }, TOKEN)).toBe('x')
    expect(await read('kept')).toEqual({ ServerURL: 'r.io', Username: '<token>', Secret: 'canary-token' })
    await expect(lstat(store.path)).rejects.toThrow()
    expect(await eraseAllLogins(store)).toEqual(['r.io'])
    await expect(lstat(join(home, 'kept'))).rejects.toThrow()
  })

  it('is for a whole registry', async () => {
    await write('auth.json', { credsStore: 'x' })
    const store = storeAt('auth.json', await helper('x'))
    await expect(storeLogin(store, { registry: 'r.io', path: 'team' }, ALICE)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  })

  it('that fails is told of without the secret, and nothing is written', async () => {
    await write('bin/docker-credential-x', '#!/bin/sh\ncat\necho canary:pw\nexit 2\n')
    await chmod(join(home, 'bin/docker-credential-x'), 0o755)
    await write('auth.json', { credsStore: 'x' })
    const store = storeAt('auth.json', { PATH: `${join(home, 'bin')}:/usr/bin:/bin` })
    const error = await storeLogin(store, { registry: 'r.io' }, ALICE).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'INVALID_CONFIG', message: expect.stringContaining('with status 2') })
    expect(String(error)).not.toContain('canary')
    expect(await read('auth.json')).toEqual({ credsStore: 'x' })
  })
})

describe('the file that a login goes to', () => {
  const uid = 1000
  it.each<[Partial<AuthFilePaths>, string]>([
    [{ authFile: '/a.json', environment: { REGISTRY_AUTH_FILE: '/b.json' } }, '/a.json'],
    [{ environment: { REGISTRY_AUTH_FILE: '/b.json', DOCKER_CONFIG: '/docker' } }, '/b.json'],
    [{ environment: { DOCKER_CONFIG: '/docker', XDG_RUNTIME_DIR: '/run/user/1000' } }, '/docker/config.json'],
    [{ environment: { XDG_RUNTIME_DIR: '/run/user/1000' } }, '/run/user/1000/containers/auth.json'],
    [{ environment: { XDG_RUNTIME_DIR: '' } }, '/run/containers/1000/auth.json'],
  ])('is chosen as podman and skopeo choose it: %j', (paths, expected) => {
    expect(authFileToWrite({ environment: {}, home: '/home/a', uid, ...paths })).toBe(expected)
  })
})
