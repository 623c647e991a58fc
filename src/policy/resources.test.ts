import { describe, expect, it } from 'vitest'
import { parseResourceLocation, type ResourceLocation } from './resources.ts'

const kbs = (uri: string): ResourceLocation => ({ kind: 'kbs', uri })
const file = (path: string): ResourceLocation => ({ kind: 'file', path })

describe('parseResourceLocation', () => {
  it.each<[string, ResourceLocation]>([
    ['kbs:///default/key/test', kbs('kbs:///default/key/test')],
    ['kbs://host:8080/default/key/test', kbs('kbs://host:8080/default/key/test')],
    ['KBS:///default/key/test', kbs('KBS:///default/key/test')],
    ['kbs+plugin:///a/b', kbs('kbs+plugin:///a/b')],
    ['file:///etc/key.pub', file('/etc/key.pub')],
    ['/etc/key.pub', file('/etc/key.pub')],
    // The first part is the host of a file URL.
    ['keys/a.pub', file('/a.pub')],
    ['file://host/a.pub', file('/a.pub')],
    ['/a/../../b', file('/b')],
    // The guest opens the path of the URL as it stands, escapes and all.
    ['/a b', file('/a%20b')],
    ['/%41', file('/%41')],
    ['/a?b#c', file('/a')],
  ])('reads %s', (text, expected) => {
    expect(parseResourceLocation(text)).toEqual(expected)
  })

  it.each([
    ['https://example.com/key', 'Resource URI scheme `https` not supported: "https://example.com/key".'],
    ['kbsx:///a/b/c', 'Resource URI scheme `kbsx` not supported'],
    ['://a', '"://a" is not a path or URI.'],
    ['a b://c', 'is not a path or URI'],
    ['file://a b/c', 'is not a path or URI'],
  ])('refuses %s', (text, message) => {
    expect(() => parseResourceLocation(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_POLICY', message: expect.stringContaining(message) }),
    )
  })
})
