import { describe, expect, it } from 'vitest'
import { proxyFor } from './proxy.ts'

const PROXY = 'http://proxy.test:3128'

describe('proxyFor', () => {
  // Expected: what golang.org/x/net/http/httpproxy documents and its tests hold.
  it.each<[string, string, boolean]>([
    ['', 'https://example.com/', true],
    ['example.com', 'https://example.com/', false],
    ['EXAMPLE.com', 'https://example.com/', false],
    ['example.com', 'https://ghcr.example.com/', false],
    ['example.com', 'https://badexample.com/', true],
    ['.example.com', 'https://example.com/', true],
    ['.example.com', 'https://a.b.example.com/', false],
    ['*.example.com', 'https://a.example.com/', false],
    ['*.example.com', 'https://example.com/', true],
    ['example.com:443', 'https://example.com/', false],
    ['example.com:80', 'http://example.com/', false],
    ['example.com:5000', 'https://example.com/', true],
    ['.example.com:5000', 'https://a.example.com:5000/', false],
    ['other.test, example.com ,', 'https://example.com/', false],
    ['*', 'https://example.com/', false],
    ['10.0.0.5', 'https://10.0.0.5/', false],
    ['10.0.0.5', 'https://10.0.0.6/', true],
    ['10.0.0.5:443', 'https://10.0.0.5/', false],
    ['10.0.0.5:5000', 'https://10.0.0.5/', true],
    ['10.0.0.0/8', 'https://10.255.0.1/', false],
    ['10.0.0.0/8', 'https://11.0.0.1/', true],
    ['10.0.0.0/99', 'https://10.0.0.1/', true],
    ['0.5', 'https://10.0.0.5/', true],
    ['2001:db8::/32', 'https://[2001:db8::1]/', false],
    ['[2001:db8::1]:443', 'https://[2001:db8::1]/', false],
    ['2001:db8::1', 'https://[2001:db8::2]/', true],
    ['example.com/8', 'https://example.com/', true],
    [':443', 'https://example.com/', true],
  ])('with NO_PROXY=%j asks for %s by proxy: %s', (noProxy, url, proxied) => {
    const environment = { HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY, NO_PROXY: noProxy }
    expect(proxyFor(new URL(url), environment)?.origin).toBe(proxied ? PROXY : undefined)
  })

  it.each(['http://localhost:5000/', 'http://127.0.0.1/', 'https://127.3.2.1/', 'http://[::1]:80/'])(
    'never asks a proxy for %s',
    (url) => {
      expect(proxyFor(new URL(url), { HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY })).toBeUndefined()
    },
  )

  it.each<[string, Record<string, string>, string | undefined]>([
    ['https://a.test/', { HTTP_PROXY: PROXY }, undefined],
    ['http://a.test/', { HTTPS_PROXY: PROXY }, undefined],
    ['http://a.test/', { http_proxy: PROXY }, PROXY],
    ['http://a.test/', { http_proxy: 'http://low.test', HTTP_PROXY: PROXY }, PROXY],
    ['http://a.test/', { http_proxy: PROXY, HTTP_PROXY: '' }, PROXY],
    ['https://a.test/', { HTTPS_PROXY: 'proxy.test:3128' }, PROXY],
    ['https://a.test/', { HTTPS_PROXY: 'https://secure.test' }, 'https://secure.test'],
    ['https://a.test/', { HTTPS_PROXY: PROXY, no_proxy: 'a.test' }, undefined],
  ])('chooses for %s from %j', (url, environment, proxy) => {
    expect(proxyFor(new URL(url), environment)?.origin).toBe(proxy)
  })

  it.each(['http://u:CANARY@[::', 'socks5://u:CANARY@x.test', 'u:CANARY@', 'http://u:CANARY%@x.test'])(
    'refuses %j and keeps its password to itself',
    (proxy) => {
      const choose = (): unknown => proxyFor(new URL('https://a.test'), { HTTPS_PROXY: proxy })
      expect(choose).toThrow(
        expect.objectContaining({
          code: 'INVALID_CONFIG',
          message: 'HTTPS_PROXY does not hold the URL of an HTTP proxy.',
          hint: expect.not.stringContaining('CANARY'),
        }),
      )
    },
  )
})
