import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCosignetError } from '../core/index.ts'
import {
  encodePaxRecord,
  encodeTarHeader,
  parsePaxRecords,
  parseTarHeader,
  tarPadding,
} from './tar-header.ts'

const WHAT = 'The archive "a.tar"'

describe('headers of tar files', () => {
  it('are written as Go does', () => {
    // archive/tar of Go 1.24, tar.FileInfoHeader as skopeo 1.22.0 uses it, for a file "a" of 3 bytes: the fields by place.
    const header = Buffer.from(encodeTarHeader('a', 3)).toString('latin1')
    const fields = ['a', '0000444', '0000000', '0000000', '00000000003', '00000000000']
    const places = [0, 100, 108, 116, 124, 136]
    fields.forEach((field, i) => {
      expect(header.slice(places[i]).startsWith(`${field}\0`)).toBe(true)
    })
    expect(header.slice(156, 157)).toBe('0')
    expect(header.slice(257, 265)).toBe('ustar\x0000')
    const sum = [...header.slice(0, 148), ...' '.repeat(8), ...header.slice(156)]
      .map((character) => character.charCodeAt(0))
      .reduce((total, byte) => total + byte, 0)
    expect(header.slice(148, 156)).toBe(`${sum.toString(8).padStart(6, '0')}\0 `)
  })

  it('take a checksum of signed bytes, as old tars wrote it', () => {
    const header = Buffer.from(encodeTarHeader('é', 0))
    const bytes = new Int8Array(header)
    const sum = bytes.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    expect(parseTarHeader(header, WHAT)?.name).toBe('é')
  })

  it('end with zeros', () => {
    expect(parseTarHeader(Buffer.alloc(512), WHAT)).toBeUndefined()
  })

  it('refuse a name that is not UTF-8', () => {
    const header = Buffer.from(encodeTarHeader('aaaa', 0))
    header[0] = 0x61 + 0x61
    header[1] = 0
    expect(() => parseTarHeader(header, WHAT)).toThrow(
      expect.objectContaining({ code: 'INVALID_IMAGE', message: expect.stringContaining('not UTF-8') }),
    )
  })

  it('keep name and size', () => {
    const name = fc.stringMatching(/^[a-z0-9/._-]{1,100}$/)
    const size = fc.oneof(fc.nat(), fc.maxSafeNat())
    fc.assert(
      fc.property(name, size, (name, size) => {
        expect(parseTarHeader(encodeTarHeader(name, size), WHAT)).toEqual({
          name,
          size,
          type: '0',
          linkName: '',
        })
      }),
    )
  })

  it('are read or refused, whatever they are', () => {
    const changes = fc.array(fc.tuple(fc.nat(511), fc.nat(255)), { maxLength: 4 })
    fc.assert(
      fc.property(changes, (changes) => {
        const header = Buffer.from(encodeTarHeader('some/name', 12_345))
        for (const [place, value] of changes) header[place] = value
        try {
          expect(parseTarHeader(header, WHAT)?.size).toBeGreaterThanOrEqual(0)
        } catch (error) {
          expect(isCosignetError(error, 'INVALID_IMAGE')).toBe(true)
        }
      }),
    )
  })
})

describe('pax records', () => {
  it.each([
    // POSIX.1-2024, pax, "pax Header Block": the length counts its own digits.
    ['path', 'a', '9 path=a\n'],
    ['p', 'aaaaa', '11 p=aaaaa\n'],
    ['path', 'é', '11 path=é\n'],
    ['path', 'a'.repeat(91), `101 path=${'a'.repeat(91)}\n`],
  ])('count themselves: %s=%.10s', (key, value, expected) => {
    expect(Buffer.from(encodePaxRecord(key, value)).toString()).toBe(expected)
  })

  it('are read as they were written, the last of two', () => {
    const record = fc.tuple(fc.stringMatching(/^[A-Za-z.]{1,20}$/), fc.string({ maxLength: 2000 }))
    fc.assert(
      fc.property(fc.array(record, { maxLength: 5 }), (records) => {
        const bytes = Buffer.concat(records.map(([key, value]) => encodePaxRecord(key, value)))
        expect(parsePaxRecords(bytes, WHAT)).toEqual(new Map(records))
      }),
    )
  })

  it('are read or refused, whatever they are', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.stringMatching(/^([0-9]{1,2} ?[a-z]?=?\n?)*$/)), (input) => {
        try {
          parsePaxRecords(Buffer.from(input as Uint8Array), WHAT)
        } catch (error) {
          expect(isCosignetError(error, 'INVALID_IMAGE')).toBe(true)
        }
      }),
    )
  })
})

describe('padding', () => {
  it.each([
    [0, 0],
    [1, 511],
    [511, 1],
    [512, 0],
    [513, 511],
  ])('of %i bytes', (size, expected) => {
    expect(tarPadding(size)).toBe(expected)
  })
})
