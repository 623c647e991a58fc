import { describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { parseLocation } from './location.ts'

const HEX = 'ab'.repeat(32)

describe('parseLocation', () => {
  it.each([
    ['docker://busybox', { registry: 'docker.io', repository: 'library/busybox', tag: 'latest' }],
    ['docker://localhost:5000/a:v1', { registry: 'localhost:5000', repository: 'a', tag: 'v1' }],
    [
      `docker://ghcr.io/a/b@sha256:${HEX}`,
      { registry: 'ghcr.io', repository: 'a/b', digest: `sha256:${HEX}` },
    ],
  ])('reads %s', (text, reference) => {
    expect(parseLocation(text)).toEqual({ transport: 'docker', reference })
  })

  // The examples of containers-transports(5).
  it.each([
    ['dir:/tmp/image', { transport: 'dir', path: '/tmp/image' }],
    ['dir:with:colons', { transport: 'dir', path: 'with:colons' }],
    ['oci:layout', { transport: 'oci', path: 'layout' }],
    ['oci:layout:', { transport: 'oci', path: 'layout' }],
    ['oci:layout:v1.0', { transport: 'oci', path: 'layout', image: 'v1.0' }],
    ['oci:layout:ghcr.io/a/b:c', { transport: 'oci', path: 'layout', image: 'ghcr.io/a/b:c' }],
    ['oci:layout:@3', { transport: 'oci', path: 'layout', index: 3 }],
    ['oci-archive:a.tar:v1', { transport: 'oci-archive', path: 'a.tar', image: 'v1' }],
    ['docker-archive:a.tar', { transport: 'docker-archive', path: 'a.tar' }],
    ['docker-archive:a.tar:@0', { transport: 'docker-archive', path: 'a.tar', index: 0 }],
    [
      'docker-archive:a.tar:busybox:1',
      {
        transport: 'docker-archive',
        path: 'a.tar',
        reference: { registry: 'docker.io', repository: 'library/busybox', tag: '1' },
      },
    ],
    [
      'docker-daemon:alpine:3',
      {
        transport: 'docker-daemon',
        name: { registry: 'docker.io', repository: 'library/alpine', tag: '3' },
      },
    ],
    [`docker-daemon:sha256:${HEX}`, { transport: 'docker-daemon', name: { id: `sha256:${HEX}` } }],
  ])('reads %s', (text, location) => {
    expect(parseLocation(text)).toEqual(location)
  })

  it.each([
    ['busybox', 'Did you mean "docker://busybox"?'],
    ['docker:busybox', 'Did you mean "docker://busybox"?'],
    ['constructor:x', 'Did you mean "docker://constructor:x"?'],
    ['https://me:secret@registry.example/app', undefined],
    ['dir:', undefined],
    ['oci::v1', undefined],
    ['oci:layout:../x', undefined],
    ['oci:layout:@x', undefined],
    [`docker-archive:a.tar:busybox@sha256:${HEX}`, undefined],
    [`docker-daemon:busybox@sha256:${HEX}`, undefined],
    ['docker-daemon:sha256:abc/', undefined],
    ['docker://a:b:c', undefined],
  ])('refuses %s', (text, hint) => {
    let error: unknown
    try {
      parseLocation(text)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(CosignetError)
    expect(error).toMatchObject({ code: 'INVALID_REFERENCE', hint })
  })
})
