import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AuthFileOptions, createAuthFileCredentials } from './auth-files.ts'
import type { Credentials } from './credentials.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cosignet-auth-'))
})
afterEach(async () => {
  await rm(home, { recursive: true })
})

async function write(path: string, content: unknown): Promise<void> {
  const file = join(home, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
}

function basic(username: string, password = 'p'): Credentials {
  return { kind: 'basic', username, password }
}

function auth(username: string): { auth: string } {
  return { auth: Buffer.from(`${username}:p`).toString('base64') }
}

async function find(
  registry: string,
  repository: string,
  environment: AuthFileOptions['environment'] = {},
): Promise<Credentials | undefined> {
  return await createAuthFileCredentials({ environment, home })(registry, repository)
}

describe('the files of registry credentials', () => {
  it('are read in the order of containers-auth.json(5)', async () => {
    const environment = {
      XDG_RUNTIME_DIR: join(home, 'run'),
      XDG_CONFIG_HOME: join(home, 'xdg'),
      DOCKER_CONFIG: join(home, 'docker'),
    }
    expect(await find('r.io', 'a', environment)).toBeUndefined()
    await write('docker/config.json', { auths: { 'r.io': auth('docker'), 'only.io': auth('only') } })
    expect(await find('r.io', 'a', environment)).toEqual(basic('docker'))
    await write('xdg/containers/auth.json', { auths: { 'r.io': auth('config') } })
    expect(await find('r.io', 'a', environment)).toEqual(basic('config'))
    await write('run/containers/auth.json', { auths: { 'r.io': auth('runtime') } })
    expect(await find('r.io', 'a', environment)).toEqual(basic('runtime'))
    expect(await find('only.io', 'a', environment)).toEqual(basic('only'))
  })

  it('are looked for in the home folder', async () => {
    await write('.docker/config.json', { auths: { 'r.io': auth('docker') } })
    expect(await find('r.io', 'a')).toEqual(basic('docker'))
    await write('.config/containers/auth.json', { auths: { 'r.io': auth('config') } })
    expect(await find('r.io', 'a')).toEqual(basic('config'))
  })

  it('are only the one that REGISTRY_AUTH_FILE names', async () => {
    await write('.docker/config.json', { auths: { 'r.io': auth('docker') } })
    await write('mine.json', { auths: {} })
    expect(await find('r.io', 'a', { REGISTRY_AUTH_FILE: join(home, 'mine.json') })).toBeUndefined()
    await expect(find('r.io', 'a', { REGISTRY_AUTH_FILE: join(home, 'gone.json') })).rejects.toMatchObject({
      code: 'FILE',
    })
  })

  it.each([
    ['r.io', 'ns/repo', 'repo'],
    ['r.io', 'ns/other', 'ns'],
    ['r.io', 'nsx/repo', 'host'],
    ['r.io:5000', 'ns/repo', undefined],
    ['url.io', 'a', 'url'],
    ['docker.io', 'library/a', 'hub'],
  ])('match %s/%s by the longest key', async (registry, repository, expected) => {
    await write('.docker/config.json', {
      auths: {
        'r.io': auth('host'),
        'r.io/ns': auth('ns'),
        'r.io/ns/repo': auth('repo'),
        'https://url.io/v2/': auth('url'),
        'https://index.docker.io/v1/': auth('hub'),
      },
    })
    expect(await find(registry, repository)).toEqual(expected === undefined ? undefined : basic(expected))
  })

  it('may have the form of the oldest docker', async () => {
    await write('.dockercfg', { 'https://old.io/v1/': { ...auth('old'), email: 'a@b.c' } })
    expect(await find('old.io', 'a')).toEqual(basic('old'))
    await write('.docker/config.json', { auths: { 'old.io': auth('new') } })
    expect(await find('old.io', 'a')).toEqual(basic('new'))
  })

  it('have a name that is written out before a URL', async () => {
    await write('.docker/config.json', { auths: { 'r.io': auth('name'), 'https://r.io/v2/': auth('url') } })
    expect(await find('r.io', 'a')).toEqual(basic('name'))
  })

  it('hold user and password, an identity token, or nothing', async () => {
    await write('.docker/config.json', {
      auths: {
        'plain.io': { username: 'u', password: 'with:colon' },
        'colon.io': { auth: Buffer.from('u:with:colon').toString('base64') },
        'token.io': { ...auth('u'), identitytoken: 'refresh' },
        'empty.io': {},
      },
    })
    expect(await find('plain.io', 'a')).toEqual(basic('u', 'with:colon'))
    expect(await find('colon.io', 'a')).toEqual(basic('u', 'with:colon'))
    expect(await find('token.io', 'a')).toEqual({
      kind: 'identity-token',
      token: 'refresh',
      username: 'u',
    })
    expect(await find('empty.io', 'a')).toBeUndefined()
  })

  it.each([
    ['no JSON', '{"auths": {"r.io": {"auth": CANARY'],
    ['a list', '["CANARY"]'],
    ['auths that are no object', { auths: 'CANARY' }],
    ['an entry that is no object', { auths: { 'r.io': 'CANARY' } }],
    ['auth that is no pair', { auths: { 'r.io': { auth: 'Q0FOQVJZ' } } }],
    ['auth that is a number', { auths: { 'r.io': { auth: 1 } } }],
  ])('that hold %s are named, never quoted', async (_name, content) => {
    await write('.docker/config.json', content)
    const error = await find('r.io', 'a').catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining(JSON.stringify(join(home, '.docker/config.json'))),
    })
    expect(String(error)).not.toMatch(/CANARY|Q0FOQVJZ/)
    expect(error).not.toHaveProperty('cause')
  })
})

describe('credential helpers', () => {
  /** A helper in the protocol of docker-credential-helpers: server on stdin, JSON on stdout. */
  async function helper(name: string, script: string): Promise<AuthFileOptions['environment']> {
    await write(`bin/docker-credential-${name}`, `#!/bin/sh\nread server\n${script}\n`)
    await chmod(join(home, `bin/docker-credential-${name}`), 0o755)
    return { PATH: `${join(home, 'bin')}:/usr/bin:/bin` }
  }

  it('are asked for their registry, before the store', async () => {
    const environment = await helper('one', `echo '{"Username":"'$1'","Secret":"'$server'"}'`)
    await write('.docker/config.json', { credHelpers: { 'r.io': 'one' }, credsStore: 'none' })
    expect(await find('r.io', 'a/b', environment)).toEqual(basic('get', 'r.io'))
  })

  it('are the store of what no entry holds', async () => {
    const environment = await helper('store', `echo '{"Username":"<token>","Secret":"'$server'"}'`)
    await write('.docker/config.json', { auths: { 'docker.io': {} }, credsStore: 'store' })
    expect(await find('docker.io', 'library/a', environment)).toEqual({
      kind: 'identity-token',
      token: 'https://index.docker.io/v1/',
    })
  })

  it.each(['docker.io', 'index.docker.io', 'https://index.docker.io/v1/'])(
    'know Docker Hub by the name in the file, %s',
    async (key) => {
      const environment = await helper('hub', `echo '{"Username":"u","Secret":"'$server'"}'`)
      await write('.docker/config.json', { credHelpers: { [key]: 'hub' } })
      expect(await find('docker.io', 'library/a', environment)).toEqual(basic('u', key))
    },
  )

  it('of registries.conf are asked in their order, the files among them', async () => {
    const environment = await helper(
      'one',
      '[ "$server" = r.io ] && echo \'{"Username":"one","Secret":"p"}\'',
    )
    await helper('none', 'echo credentials not found in native keychain; exit 1')
    await write('.docker/config.json', { auths: { 'r.io': auth('file') } })
    const ask = async (...credentialHelpers: readonly string[]): Promise<Credentials | undefined> =>
      await createAuthFileCredentials({ environment, home, credentialHelpers })('r.io', 'a/b')
    expect(await ask()).toEqual(basic('file'))
    expect(await ask('none', 'one', 'containers-auth.json')).toEqual(basic('one'))
    expect(await ask('none', 'containers-auth.json', 'one')).toEqual(basic('file'))
    expect(await ask('none')).toBeUndefined()
  })

  it('may have nothing', async () => {
    const environment = await helper('store', 'echo credentials not found in native keychain; exit 1')
    await write('.docker/config.json', { credsStore: 'store' })
    expect(await find('r.io', 'a', environment)).toBeUndefined()
  })

  it.each([
    ['fails', 'x', 'echo CANARY; exit 3', 'INVALID_CONFIG', 'failed for "r.io" with status 3'],
    ['prints no JSON', 'x', 'echo CANARY', 'INVALID_CONFIG', 'is not JSON'],
    ['prints no secret', 'x', `echo '{"Username":"CANARY"}'`, 'INVALID_CONFIG', 'has no Username and Secret'],
    ['prints null', 'x', 'echo null', 'INVALID_CONFIG', 'has no Username and Secret'],
    ['prints without end', 'x', 'while :; do echo CANARYCANARY; done', 'TOO_LARGE', 'larger than the limit'],
    ['is not installed', 'gone', '', 'INVALID_CONFIG', 'could not be run'],
    ['is a path', '../x', '', 'INVALID_CONFIG', 'is not the name of a credential helper'],
    ['is a command', 'x; id', '', 'INVALID_CONFIG', 'is not the name of a credential helper'],
  ])('that %s are an error', async (_name, program, script, code, message) => {
    const environment = await helper('x', script)
    await write('.docker/config.json', { credHelpers: { 'r.io': program } })
    const error = await find('r.io', 'a', environment).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) })
    expect(String(error)).not.toContain('CANARY')
  })
})
