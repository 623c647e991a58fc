import { describe, expect, it } from 'vitest'
import { DEFAULT_DAEMON_HOST, parseDaemonHost } from './docker-daemon-host.ts'

describe('the place of a Docker daemon', () => {
  it.each([
    [DEFAULT_DAEMON_HOST, 'http://localhost/', '/var/run/docker.sock'],
    ['unix:///run/user/1000/podman/podman.sock', 'http://localhost/', '/run/user/1000/podman/podman.sock'],
    ['tcp://docker.example', 'https://docker.example:2376/', undefined],
    ['tcp://docker.example:2376', 'https://docker.example:2376/', undefined],
    ['tcp://[::1]', 'https://[::1]:2376/', undefined],
    ['http://127.0.0.1:2375', 'http://127.0.0.1:2375/', undefined],
    ['http://127.0.0.1', 'http://127.0.0.1:2375/', undefined],
    ['http://127.0.0.1:80', 'http://127.0.0.1/', undefined],
    ['https://docker.example/docker', 'https://docker.example:2376/docker/', undefined],
  ])('is parsed: %s', (text, url, socketPath) => {
    const host = parseDaemonHost(text)
    expect(host.text).toBe(text)
    expect(host.url.href).toBe(url)
    expect(host.client.socketPath).toBe(socketPath)
  })

  it('is plain for tcp where the docker command would have it so', () => {
    expect(parseDaemonHost('tcp://docker.example', { tcp: 'http' }).url.href).toBe(
      'http://docker.example:2375/',
    )
  })

  it.each([
    ['', 'INVALID_CONFIG', 'does not start with one of'],
    ['/var/run/docker.sock', 'INVALID_CONFIG', 'does not start with one of'],
    ['fd://', 'INVALID_CONFIG', 'does not start with one of'],
    ['unix://docker.sock', 'INVALID_CONFIG', 'has no absolute path'],
    ['unix:///a\0b', 'INVALID_CONFIG', 'has no absolute path'],
    ['tcp://', 'INVALID_CONFIG', 'has no host'],
    ['tcp:///a', 'INVALID_CONFIG', 'has no host'],
    ['tcp://a:99999', 'INVALID_CONFIG', 'has no host'],
    ['https://a/?b', 'INVALID_CONFIG', 'more than a host, a port and a path'],
    ['ssh://me@docker.example', 'UNSUPPORTED', 'through ssh'],
    ['npipe:////./pipe/docker_engine', 'UNSUPPORTED', 'named pipe'],
  ])('is refused: %j', (text, code, message) => {
    expect(() => parseDaemonHost(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it('does not show a password', () => {
    expect(() => parseDaemonHost('https://me:secret@docker.example')).toThrow(
      expect.objectContaining({
        message:
          '"https://…@docker.example" is not the place of a Docker daemon: it has more than a host, a port and a path.',
      }),
    )
  })
})
