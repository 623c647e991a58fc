import { describe, expect, it } from 'vitest'
import { readRealm } from './registry-realm.ts'

describe('readRealm', () => {
  // Hosts in the relations in which registries and their token servers stand, and others that could be named.
  it.each<[string, string, boolean]>([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', true],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', true],
    ['https://ghcr.io', 'https://ghcr.io/token', true],
    ['https://quay.io', 'https://quay.io/v2/auth', true],
    ['https://public.ecr.aws', 'https://public.ecr.aws/token/', true],
    ['https://eu.icr.io', 'https://icr.io/oauth/token', true],
    ['https://registry.digitalocean.com', 'https://api.digitalocean.com/v2/registry/auth', true],
    ['https://registry.corp.test:5000', 'https://registry.corp.test:5001/auth', true],
    ['https://registry.example.co.uk', 'https://auth.example.co.uk/', true],
    ['https://127.0.0.1:5000', 'https://127.0.0.1:5001/', true],
    ['https://[::1]:5000', 'https://[::1]:5001/', true],
    ['https://registry', 'https://registry:8443/token', true],
    ['https://ghcr.io', 'https://evil.test/token', false],
    ['https://ghcr.io', 'https://evil-ghcr.io/token', false],
    ['https://ghcr.io', 'https://ghcr.io.evil.test/token', false],
    ['https://quay.io', 'https://ghcr.io/token', false],
    ['https://example.co.uk', 'https://evil.co.uk/token', false],
    ['https://registry', 'https://auth/token', false],
    ['https://registry', 'https://auth.registry/token', false],
    ['https://203.0.113.5', 'https://203.0.113.6/token', false],
    ['https://1.2.203.113', 'https://9.2.203.113/token', false],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token', false],
    ['http://localhost:5000', 'http://127.0.0.1:5001/token', false],
    ['http://registry.corp.test', 'http://registry.corp.test/token', false],
    ['https://10.0.0.5', 'https://10.0.0.6/token', false],
  ])('of %s lets %s have credentials: %s (CVE-2026-48978)', (registry, realm, expected) => {
    const read = readRealm(realm, new URL(registry))
    expect([read.url.href, read.mayHaveCredentials]).toEqual([realm, expected])
  })

  it.each<[string, string]>([
    ['https://ghcr.io', 'http://ghcr.io/token'],
    ['http://127.0.0.1:5000', 'http://ghcr.io/token'],
    ['http://registry.corp.test', 'http://127.0.0.1/token'],
    ['https://ghcr.io', 'https://127.0.0.1/token'],
    ['https://ghcr.io', 'https://localhost/token'],
    ['https://ghcr.io', 'https://a.localhost/token'],
    ['https://ghcr.io', 'https://2130706433/token'],
    ['https://ghcr.io', 'https://0x7f.1/token'],
    ['https://ghcr.io', 'https://10.1.2.3/token'],
    ['https://ghcr.io', 'https://172.31.0.1/token'],
    ['https://ghcr.io', 'https://192.168.0.1/token'],
    ['https://ghcr.io', 'https://100.100.100.200/latest/meta-data'],
    ['https://ghcr.io', 'https://169.254.169.254/latest/meta-data'],
    ['https://ghcr.io', 'https://0.0.0.0/token'],
    ['https://ghcr.io', 'https://[::]/token'],
    ['https://ghcr.io', 'https://[::1]/token'],
    ['https://ghcr.io', 'https://[::ffff:10.0.0.1]/token'],
    ['https://ghcr.io', 'https://[fd00:ec2::254]/token'],
    ['https://ghcr.io', 'https://[fe80::1]/token'],
    ['https://ghcr.io', 'https://user:pass@ghcr.io/token'],
    ['https://ghcr.io', 'file:///etc/passwd'],
    ['https://ghcr.io', '/token'],
    ['https://ghcr.io', ''],
  ])('of %s is never %s', (registry, realm) => {
    expect(() => readRealm(realm, new URL(registry))).toThrow(
      expect.objectContaining({
        code: 'BAD_RESPONSE',
        message: expect.stringContaining('a token server that is not trusted'),
      }),
    )
  })
})
