import { describe, expect, it } from 'vitest'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { openDaemon } from './daemon-access.ts'

describe('openDaemon', () => {
  // docs.docker.com/reference/cli/docker/#environment-variables; skopeo takes tcp: for TLS wherever a flag names it.
  it.each([
    ['the local daemon', {}, undefined, 'http://localhost/', '/var/run/docker.sock'],
    [
      'what an empty DOCKER_HOST stands for',
      { DOCKER_HOST: '' },
      undefined,
      'http://localhost/',
      '/var/run/docker.sock',
    ],
    ['a socket of DOCKER_HOST', { DOCKER_HOST: 'unix:///run/a' }, undefined, 'http://localhost/', '/run/a'],
    ['a host of DOCKER_HOST', { DOCKER_HOST: 'tcp://a' }, undefined, 'http://a:2375/', undefined],
    [
      'a host of DOCKER_HOST with TLS',
      { DOCKER_HOST: 'tcp://a', DOCKER_TLS_VERIFY: '1' },
      undefined,
      'https://a:2376/',
      undefined,
    ],
    ['the flag before DOCKER_HOST', { DOCKER_HOST: 'unix:///run/a' }, 'http://b:80', 'http://b/', undefined],
    ['a flag with tcp:, which is TLS', {}, 'tcp://b:1', 'https://b:1/', undefined],
  ])('finds %s', (_what, environment, name, url, socketPath) => {
    const { host, http } = openDaemon(quietCli({ environment }), name)
    http.close()
    expect(host.url.href).toBe(url)
    expect(host.client.socketPath).toBe(socketPath)
  })

  it.each([
    ['ftp://a', 'INVALID_CONFIG'],
    ['unix://a', 'INVALID_CONFIG'],
    ['', 'INVALID_CONFIG'],
    ['ssh://a', 'UNSUPPORTED'],
  ])('refuses %j', (name, code) => {
    expect(() => openDaemon(quietCli(), name)).toThrowError(expect.objectContaining({ code }))
  })

  it('shows no password', () => {
    const environment = { DOCKER_HOST: 'tcp://me:canary@a' }
    expect(() => openDaemon(quietCli({ environment }), undefined)).toThrowError(
      expect.objectContaining({ message: expect.not.stringContaining('canary') }),
    )
  })
})
