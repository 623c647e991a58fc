import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { packTar } from 'modern-tar'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collectBytes, isCosignetError, LIMITS } from '../core/index.ts'
import { openTar, type TarFile } from './tar-index.ts'

/**
 * GNU tar 1.34, in a folder with `a.txt` ("hello\n"), its hard link `b.txt`, `blobs/link` → `../a.txt`, a file of 120
 * times `n` in `blobs` ("long"), and `blobs/tolong`, a symbolic link to that one (not in ustar and v7):
 * `tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=FORMAT -cf - . | gzip -9n | base64`;
 * and with `-S`, of a file with a hole of 1 MiB and an `x` behind it.
 */
const WRITTEN_BY_TAR = {
  gnu:
    'H4sIAAAAAAACA+2XQQ7CIBBFWXsKTkAZCp2te3uJNjFqJG1ia+LxRXdWY9MF1Mh/Gwjbz5sPqhDR0QF27rkGpuuHfaWtEdKJ' +
    'BFyHsblIKTJFFY0ab2P0/Ctrv+RfTfJnTSykRv7ROe697zcCZOt/+wP+T/akyQT/KcVwyn7+t75vhyJ2/sv6n8mW6P+U+ftT' +
    'd46aP/MC/8mQFdKoBAMg+/xVsa377lDHuwBz899omvrPVci/hv/J/O9WAi+w/89//v1nX/0vDVv8/5Lgw+iHBTn7v37/E7/3' +
    'fziSO/gfHfQ++v/R/2MfrwkW//9Kxy70v0lxETP3HwAAAAAAAABAHtwB6SiXawAoAAA=',
  pax:
    'H4sIAAAAAAACA+2YwU7EIBRFWfsV/YJSHo/ixr1Lf6GNjWMkrZkyST9fbGIyU43NxMLYcM8GdoTcd999UEoRnSpgjZnXwHL9' +
    'YW81kyiMSMBp9M0xHLnFJc8vtxNK2ZR+8tH1r5l/0b++1F9VWllRVNA/OofOueFOgEwpZfsP/L/YK8UU/K9SNKfs+3/rhnaU' +
    'sfW/Kv9VxayR/yn1d6/9W1T9rb1CfzKKRUFlggYA/Wf9n5rpsWueu+Mo+61Z6/+k6FJ/TbUJ8/+0J//vFKXvi/fGHx6+CqG/' +
    'EZhBb+r/mNKuz3+88D8T4/2XBDf0L3AB/H+W/37YuChW8//b/w+ZGvmfKP+5+Jz95xkA2Z+t/zc3/V/ef9qSCflPKWov8/wH' +
    'AAAAAAAAAJAHHwCpbfoAKAAA',
  ustar:
    'H4sIAAAAAAACA+3V0QrCIBSAYa97ij2BepzO52kQFEmDtqDHT7qqEcEgpdr/3eidyI9HbVRxNosh3Ndsvr7Yx9Y71QRVwWWc' +
    'tud85Ccu+Xi5H6HNVk/XqXj/zvs3/bvn/mJbiaqx9C9uv0tp2CislDb9F7z/2V7Eu/z+pcZwWv3879PQj6Z0/0X/v1jvW/7/' +
    'mv3T4XQs2j/GBf1dEK8apysMgJX3BwAAAAAAAAAAAPA/bgGmx2EAKAAA',
  v7:
    'H4sIAAAAAAACA+3VPQ7CMAyGYc+coifIj2mS81AJCUREBzpwfCLGCCF1SEXo+yz2Gn+yY6w054oUwrsWdf3QR69HGYJ0pH5c' +
    'J4w9meW5NB9NHMcv+ccq/+TUySDk39zlnPN8EOyUsdMP7H/Ve6e+7L/f4jjt/v5PeZ4etvVo1v3/SXXk/98y/3y935rmn9KK' +
    '/feaggxqOjoAneYPAAAAAAAAAAAA4H+8ADN0J4AAKAAA',
  'sparse-gnu':
    'H4sIAAAAAAACA+3QQQ6CQAwF0B5ljuCExotwAm5gQBKOz+iKqKyMEpL3Nr9pF0073eLnLs0185nNazZ1U7d+7TK7KH38wTzd' +
    'h7GUOMzj5Nz5SH74zhcL6vtwCQAAAAAAAAAAAM5oBdoI9WQAKAAA',
  'sparse-pax':
    'H4sIAAAAAAACA+3UzUrEMBQF4KzzFH2C9CY3TdpFt+pKBPEBgmZRmRlLMkLx6Y31B4kLN45Q5nwUUs4thDacqvYmLFcxPMSU' +
    '2zyLU6DCWbuuRb2S4e7rfs01OWLRLOIfPOdjSGV7cZ6MaS6v71SeQ8pR7cPjUxq1rNLpUFKq0kPYxzHPkvX3NMWwy9NLHDXZ' +
    'vvNeMjXhOJVHtR867o3tB+WsGVgz8dv0/seU+4+pgFNTbTm82/XsLqZdVMY65/74R/BL/3W5qv4b761oaEv9r19uK/2X70V1' +
    'UsvPyhKKdzYWfAIAAAAAAAAAAAAAAAAAAIDNewX+x7DgACgAAA==',
} as const

const LONG = `blobs/${'n'.repeat(120)}`

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-tar-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true })
})

describe('reading a tar file', () => {
  it.each(['gnu', 'pax'] as const)(
    'finds members by long names, and links, as GNU tar writes %s',
    async (format) => {
      const tar = await open(gunzipSync(Buffer.from(WRITTEN_BY_TAR[format], 'base64')))
      expect([...tar.entries.keys()].sort()).toEqual(
        ['a.txt', 'b.txt', 'blobs/link', LONG, 'blobs/tolong'].sort(),
      )
      expect(await readAll(tar, 'b.txt')).toBe('hello\n')
      expect(await readAll(tar, 'blobs/link')).toBe('hello\n')
      expect(await readAll(tar, 'blobs/tolong')).toBe('long')
      await tar.close()
    },
  )

  it.each(['ustar', 'v7'] as const)('reads %s', async (format) => {
    const tar = await open(gunzipSync(Buffer.from(WRITTEN_BY_TAR[format], 'base64')))
    expect([...tar.entries.keys()].sort()).toEqual(['a.txt', 'b.txt', 'blobs/link'])
    expect(await readAll(tar, 'blobs/link')).toBe('hello\n')
    await tar.close()
  })

  it('finds the parts of a name that ustar splits', async () => {
    const name = `${'d'.repeat(80)}/${'f'.repeat(90)}`
    const tar = await open(await packTar([{ header: { name, size: 2 }, body: 'ok' }]))
    expect(await readAll(tar, name)).toBe('ok')
    await tar.close()
  })

  it('takes sizes in base 256', async () => {
    const tar = await open(
      archive(member('a', 'abc', { size: Buffer.from('800000000000000000000003', 'hex') })),
    )
    expect(await readAll(tar, 'a')).toBe('abc')
    await tar.close()
  })

  it('takes the size of pax records before that of the header', async () => {
    const tar = await open(archive(pax('12 size=600\n'), member('a', 'x'.repeat(600), { size: octal(3) })))
    expect(tar.entries.get('a')?.size).toBe(600)
    await tar.close()
  })

  it('normalises names', async () => {
    const tar = await open(archive(member('./a//b/./c', 'abc')))
    expect([...tar.entries]).toEqual([['a/b/c', { offset: 512, size: 3 }]])
    await tar.close()
  })

  it('reads ranges', async () => {
    const tar = await open(archive(member('a', 'abcdef')))
    const entry = tar.entries.get('a') ?? { offset: 0, size: 0 }
    expect(await textOf(tar.readRange(entry, { offset: 2, length: 3 }))).toBe('cde')
    await tar.close()
  })

  it('reads small members only', async () => {
    const tar = await open(archive(member('a', 'abcdef')))
    await expect(tar.readSmall('a', 5)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    await expect(tar.readSmall('b', 5)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await tar.close()
  })

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)(
    'unpacks an archive that is compressed with %s, and leaves nothing behind',
    async (_name, compress) => {
      const tar = await open(compress(archive(member('a', 'abc'))))
      expect(await readAll(tar, 'a')).toBe('abc')
      await tar.close()
      expect(await readdir(join(folder, 'temporary'))).toEqual([])
    },
  )

  it('reads a pipe', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('sh', ['-c', 'mkfifo "$0"', pipe])
    const [tar] = await Promise.all([
      openTar(pipe, { temporaryFolder: join(folder, 'temporary') }),
      writeFile(pipe, archive(member('a', 'abc'))),
    ])
    expect(await readAll(tar, 'a')).toBe('abc')
    await tar.close()
  })

  it('takes a member twice where both are the same', async () => {
    const tar = await open(archive(member('a', 'abc'), member('./a', 'abc'), link('l', 'a'), link('l', 'a')))
    expect(tar.entries.get('a')).toEqual({ offset: 512, size: 3 })
    await tar.close()
  })

  it('leaves out links to what is not there', async () => {
    const tar = await open(archive(link('a', 'nothing'), member('b', '')))
    expect([...tar.entries.keys()]).toEqual(['b'])
    await tar.close()
  })
})

const LEADS_OUT = 'leads out of the archive.'

describe('archives never write outside their folder', () => {
  it.each([
    ['a parent', member('../a', ''), `"../a" ${LEADS_OUT}`],
    ['a parent within', member('a/../../b', ''), `"a/../../b" ${LEADS_OUT}`],
    ['a root', member('/etc/passwd', ''), `"/etc/passwd" ${LEADS_OUT}`],
    ['a long name', Buffer.concat([long('../a\0', 'L'), member('a', '')]), `"../a" ${LEADS_OUT}`],
    ['a pax path', Buffer.concat([pax('13 path=../a\n'), member('a', '')]), `"../a" ${LEADS_OUT}`],
    ['a NUL', Buffer.concat([pax('12 path=a\0b\n'), member('a', '')]), `"a\\u0000b" ${LEADS_OUT}`],
    ['a folder', member('../a/', '', { type: '5' }), `"../a/" ${LEADS_OUT}`],
    ['a link to a root', link('a', '/etc/passwd'), `"a" ${LEADS_OUT}`],
    ['a link to a parent', link('d/a', '../../b'), `"d/a" ${LEADS_OUT}`],
    ['a hard link to a parent', link('d/a', '../b', '1'), `"d/a" ${LEADS_OUT}`],
  ])('refuses the name of %s', async (_name, bytes, message) => {
    await expect(open(archive(bytes))).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: expect.stringContaining(message),
    })
  })
})

describe('what two readers would read differently', () => {
  it.each([
    ['two members of a name', [member('a', 'abc'), member('a', 'abd')], 'two different members "a"'],
    ['two spellings of a name', [member('a', 'abc'), member('./a', 'ab')], 'two different members "a"'],
    ['a link in place of a file', [member('a', 'abc'), link('a', 'b')], 'two different members "a"'],
    ['a file in place of a link', [link('a', 'b'), member('a', 'abc')], 'two different members "a"'],
    ['another link', [link('a', 'b'), link('a', 'c')], 'two different members "a"'],
    [
      'two names for one',
      [long('b', 'L'), pax('10 path=c\n'), member('a', '')],
      'two headers name one member',
    ],
    ['a name for all', [pax('10 path=c\n', 'g'), member('a', '')], 'one header names all members'],
    ['a link with a content', [link('a', 'b', '2', 3)], '"a" is no file and has a content'],
    ['a type not known', [member('a', '', { type: 'Z' })], '"a" has the type "Z"'],
    ['members after the end', [Buffer.alloc(512), member('a', '')], 'there are members after its end'],
  ])('refuses %s', async (_name, members, message) => {
    await expect(open(archive(...members))).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: expect.stringContaining(message),
    })
  })
})

describe('damaged archives', () => {
  const good = archive(member('a', 'x'.repeat(600)))
  const wrongSum = Buffer.from(good)
  wrongSum[0] = 0x62
  const loop = [link('a', 'b'), link('b', 'a')]
  it.each([
    ['nothing', Buffer.alloc(0), 'INVALID_IMAGE', 'it is truncated'],
    ['text', Buffer.alloc(1024, 'text'), 'INVALID_IMAGE', 'it is no tar file, or it is damaged'],
    ['a wrong checksum', wrongSum, 'INVALID_IMAGE', 'it is no tar file, or it is damaged'],
    ['half a content', good.subarray(0, 800), 'INVALID_IMAGE', 'it is truncated'],
    ['no end', good.subarray(0, 1536), 'INVALID_IMAGE', 'it is truncated'],
    ['half a header', good.subarray(0, 300), 'INVALID_IMAGE', 'it is truncated'],
    [
      'a size that is none',
      archive(member('a', '', { size: Buffer.from('12345678 9x') })),
      'INVALID_IMAGE',
      'size',
    ],
    [
      'a negative size',
      archive(member('a', '', { size: Buffer.alloc(12, 0xff) })),
      'INVALID_IMAGE',
      'a header has a size that is no number',
    ],
    [
      'a huge size',
      archive(member('a', '', { size: octal(8 ** 11 - 1) })),
      'INVALID_IMAGE',
      'it is truncated',
    ],
    ['pax without length', archive(pax('path=c\n'), member('a', '')), 'INVALID_IMAGE', 'pax header'],
    ['pax too short', archive(pax('99 path=c\n'), member('a', '')), 'INVALID_IMAGE', 'pax header'],
    ['pax without key', archive(pax('5 =c\n'), member('a', '')), 'INVALID_IMAGE', 'pax header'],
    [
      'a pax size that is none',
      archive(pax('11 size=-1\n'), member('a', '')),
      'INVALID_IMAGE',
      '"-1" is not a size',
    ],
    [
      'an extension of nothing',
      archive(long('b', 'L')),
      'INVALID_IMAGE',
      'its last header extends no member',
    ],
    ['a circle of links', archive(...loop), 'INVALID_IMAGE', 'leads over more than 16 others'],
    ['a sparse file', written('sparse-gnu'), 'INVALID_IMAGE', 'it has a sparse file'],
    ['a sparse file of pax', written('sparse-pax'), 'INVALID_IMAGE', 'it has a sparse file'],
    [
      'half a gzip',
      gzipSync(good).subarray(0, 20),
      'INVALID_IMAGE',
      'is not valid gzip: unexpected end of file.',
    ],
    ['bzip2', Buffer.from('BZh91AY&SY'), 'UNSUPPORTED', 'is compressed with bzip2, which is not read.'],
    [
      'xz',
      Buffer.from('fd377a585a000004', 'hex'),
      'UNSUPPORTED',
      'is compressed with xz, which is not read.',
    ],
    [
      'an endless header',
      archive(long('n'.repeat(LIMITS.archiveHeaderBytes + 1), 'L'), member('a', '')),
      'TOO_LARGE',
      'a header larger than the limit of 1048576 bytes',
    ],
  ])('refuses %s', async (_name, bytes, code, message) => {
    await expect(open(bytes)).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
  })

  it('refuses names that together fill the memory', async () => {
    const named = (i: number): Buffer[] => [long(`${i}${'n'.repeat(2 ** 20 - 10)}`, 'L'), member('a', '')]
    await expect(
      open(archive(...Array.from({ length: 17 }, (_, i) => named(i)).flat())),
    ).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringContaining('names of more than the limit of 16777216 bytes'),
    })
  })

  it('reads or refuses what a hostile archive may be, and never beyond its end', async () => {
    const whole = written('gnu').subarray(0, 7168)
    const changes = fc.array(fc.tuple(fc.nat(whole.byteLength - 1), fc.nat(255)), { maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(changes, fc.nat(whole.byteLength), async (changes, length) => {
        const bytes = Buffer.from(whole.subarray(0, length))
        for (const [place, value] of changes) if (place < length) bytes[place] = value
        try {
          const tar = await open(bytes)
          for (const { offset, size } of tar.entries.values())
            expect(offset + size).toBeLessThanOrEqual(length)
          await tar.close()
        } catch (error) {
          expect(isCosignetError(error, 'INVALID_IMAGE', 'TOO_LARGE')).toBe(true)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('refuses a folder and what is not there', async () => {
    const options = { temporaryFolder: folder }
    await expect(openTar(folder, options)).rejects.toMatchObject({ code: 'FILE' })
    await expect(openTar(join(folder, 'none.tar'), options)).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringContaining('cannot be read: no such file or folder.'),
    })
  })
})

async function open(bytes: Uint8Array): Promise<TarFile> {
  const path = join(folder, 'archive.tar')
  await writeFile(path, bytes)
  return await openTar(path, { temporaryFolder: join(folder, 'temporary') })
}

async function readAll(tar: TarFile, name: string): Promise<string> {
  return Buffer.from(await tar.readSmall(name, 1000)).toString()
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.from(await collectBytes(chunks, 1000, 'The range')).toString()
}

function written(format: keyof typeof WRITTEN_BY_TAR): Uint8Array {
  return gunzipSync(Buffer.from(WRITTEN_BY_TAR[format], 'base64'))
}

/** The parts one after another, and the two blocks of zeros that end an archive. */
function archive(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, Buffer.alloc(1024)])
}

function octal(value: number): Buffer {
  return Buffer.from(`${value.toString(8).padStart(11, '0')}\0`)
}

/** A header (POSIX "ustar Interchange Format") and its content, padded to 512 bytes. */
function member(
  name: string,
  content: string,
  fields: { readonly size?: Buffer; readonly type?: string; readonly link?: string } = {},
): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  header.set(fields.size ?? octal(Buffer.byteLength(content)), 124)
  header.write(fields.type ?? '0', 156)
  header.write(fields.link ?? '', 157, 100)
  header.write('ustar\x0000', 257)
  header.write('        ', 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512)
  body.write(content)
  return Buffer.concat([header, body])
}

function link(name: string, target: string, type: '1' | '2' = '2', size = 0): Buffer {
  return member(name, '', { type, link: target, size: octal(size) })
}

function pax(records: string, type: 'x' | 'g' = 'x'): Buffer {
  return member('pax', records, { type })
}

function long(name: string, type: 'L' | 'K'): Buffer {
  return member('././@LongLink', name, { type })
}
