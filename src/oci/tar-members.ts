import type { FileHandle } from 'node:fs/promises'
import { CosignetError, collectBytes, decodeUtf8, LIMITS, quote } from '../core/index.ts'
import { parsePaxRecords, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader, tarPadding } from './tar-header.ts'
import { READ_BYTES, readAt } from './tar-spool.ts'

/** Where the content of a member stands in the tar file, in bytes. */
export interface TarEntry {
  readonly offset: number
  readonly size: number
}

const LINKS_MAX = 16

/**
 * Finds the members of a tar file by walking its headers.
 * @param what names the archive in messages.
 * @throws INVALID_IMAGE, TOO_LARGE, FILE, as `openTar` says
 */
export async function findMembers(
  file: FileHandle,
  size: number,
  what: string,
): Promise<ReadonlyMap<string, TarEntry>> {
  return await new TarIndexer(file, size, what).run()
}

/** What the extension headers before a member say about it, in place of its own header. */
interface Extension {
  name?: string
  linkName?: string
  size?: number
}

/** Keys that would change which bytes a member has, or under which name: for a single member only. */
const MEMBER_KEYS: readonly string[] = ['path', 'linkpath', 'size']

class TarIndexer {
  readonly #file: FileHandle
  readonly #size: number
  readonly #what: string
  readonly #files = new Map<string, TarEntry>()
  /** Names of links and what each leads to, both normalised. */
  readonly #links = new Map<string, string>()

  #nameBytes = 0

  constructor(file: FileHandle, size: number, what: string) {
    this.#file = file
    this.#size = size
    this.#what = what
  }

  async run(): Promise<ReadonlyMap<string, TarEntry>> {
    let extension: Extension = {}
    let offset = 0
    for (let members = 0; ; members += 1) {
      if (members > LIMITS.archiveMembers) {
        throw new CosignetError(
          'TOO_LARGE',
          `${this.#what} has more than the limit of ${LIMITS.archiveMembers} members.`,
        )
      }
      const header = await this.#header(offset)
      if (header === undefined) break
      const content = offset + TAR_BLOCK_BYTES
      const size = isExtension(header) ? header.size : (extension.size ?? header.size)
      if (size > this.#size - content) this.#fail('it is truncated')
      offset = content + size + tarPadding(size)
      if (isExtension(header)) {
        extension = { ...extension, ...(await this.#readExtension(header, content, extension)) }
        continue
      }
      await this.#addMember({ ...header, ...extension, size }, content)
      extension = {}
    }
    await this.#checkEnd(offset, extension)
    return this.#resolveLinks()
  }

  async #header(offset: number): Promise<TarHeader | undefined> {
    return parseTarHeader(await this.#read(offset, TAR_BLOCK_BYTES), this.#what)
  }

  /** An archive ends with two blocks of zeros; some writers leave the second one out. */
  async #checkEnd(offset: number, extension: Extension): Promise<void> {
    if (Object.keys(extension).length > 0) this.#fail('its last header extends no member')
    const second = offset + TAR_BLOCK_BYTES
    if (second < this.#size && (await this.#header(second)) !== undefined) {
      this.#fail('there are members after its end')
    }
  }

  async #readExtension(header: TarHeader, content: number, before: Extension): Promise<Extension> {
    if (header.size > LIMITS.archiveHeaderBytes) {
      throw new CosignetError(
        'TOO_LARGE',
        `${this.#what} has a header larger than the limit of ${LIMITS.archiveHeaderBytes} bytes.`,
      )
    }
    const bytes = await this.#read(content, header.size)
    const found =
      header.type === 'L' || header.type === 'K' ? this.#gnu(header, bytes) : this.#pax(header, bytes)
    const twice = Object.keys(found).some((key) => Object.hasOwn(before, key))
    if (twice) this.#fail('two headers name one member')
    return found
  }

  #gnu(header: TarHeader, bytes: Uint8Array): Extension {
    const end = bytes.indexOf(0)
    const name = decodeUtf8(end === -1 ? bytes : bytes.subarray(0, end))
    if (name === undefined) this.#fail('a long name in it is not UTF-8 text')
    return header.type === 'L' ? { name } : { linkName: name }
  }

  #pax(header: TarHeader, bytes: Uint8Array): Extension {
    const records = parsePaxRecords(bytes, this.#what)
    const keys = [...records.keys()]
    if (keys.some((key) => key.startsWith('GNU.sparse.'))) this.#fail('it has a sparse file')
    if (header.type === 'g') {
      // Some readers apply a global header to all members, others to none.
      if (keys.some((key) => MEMBER_KEYS.includes(key))) this.#fail('one header names all members')
      return {}
    }
    // An empty value takes a record back.
    const name = records.get('path') ?? ''
    const linkName = records.get('linkpath') ?? ''
    const size = records.get('size') ?? ''
    if (size !== '' && !/^[0-9]{1,15}$/.test(size)) this.#fail(`${quote(size)} is not a size`)
    return {
      ...(name === '' ? {} : { name }),
      ...(linkName === '' ? {} : { linkName }),
      ...(size === '' ? {} : { size: Number(size) }),
    }
  }

  async #addMember(header: TarHeader, content: number): Promise<void> {
    const { type, size } = header
    this.#nameBytes += header.name.length + header.linkName.length
    if (this.#nameBytes > LIMITS.archiveNamesBytes) {
      throw new CosignetError(
        'TOO_LARGE',
        `${this.#what} has names of more than the limit of ${LIMITS.archiveNamesBytes} bytes.`,
      )
    }
    const isFolder = type === '5' || (type === '0' && header.name.endsWith('/'))
    const name = this.#normalise(header.name, header.name)
    if (type === 'S') this.#fail('it has a sparse file')
    if (!isFolder && type === '0') return await this.#addFile(name, { offset: content, size })
    // To some readers content follows here, to others the next header.
    if (size !== 0) this.#fail(`${quote(header.name)} is no file and has a content`)
    if (type === '1') this.#addLink(name, this.#normalise(header.linkName, header.name))
    else if (type === '2') this.#addLink(name, this.#target(header))
    else if (!isFolder && !['3', '4', '6'].includes(type)) {
      this.#fail(`${quote(header.name)} has the type ${quote(type)}, which is not known`)
    }
  }

  async #addFile(name: string, entry: TarEntry): Promise<void> {
    const known = this.#files.get(name)
    if (this.#links.has(name) || (known !== undefined && !(await this.#sameBytes(known, entry))))
      this.#twice(name)
    if (known === undefined) this.#files.set(name, entry)
  }

  #addLink(name: string, target: string): void {
    if (this.#files.has(name) || (this.#links.get(name) ?? target) !== target) this.#twice(name)
    this.#links.set(name, target)
  }

  async #sameBytes(a: TarEntry, b: TarEntry): Promise<boolean> {
    if (a.size !== b.size) return false
    for (let offset = 0; offset < a.size; offset += READ_BYTES) {
      const length = Math.min(READ_BYTES, a.size - offset)
      const [first, second] = [
        await this.#read(a.offset + offset, length),
        await this.#read(b.offset + offset, length),
      ]
      if (Buffer.compare(first, second) !== 0) return false
    }
    return true
  }

  /** A symbolic link starts from the folder that it is in. */
  #target({ name, linkName }: TarHeader): string {
    if (linkName.startsWith('/')) this.#leadsOut(name)
    const parts = this.#normalise(name, name).split('/').slice(0, -1)
    for (const part of linkName.split('/')) {
      if (part === '' || part === '.') continue
      if (part !== '..') parts.push(part)
      else if (parts.pop() === undefined) this.#leadsOut(name)
    }
    return parts.join('/')
  }

  #normalise(path: string, member: string): string {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.')
    if (path.startsWith('/') || path.includes('\0') || parts.includes('..')) this.#leadsOut(member)
    return parts.join('/')
  }

  /** What a link leads to is asked for by its own name; one that leads to nothing is left out. */
  #resolveLinks(): ReadonlyMap<string, TarEntry> {
    const entries = new Map(this.#files)
    for (const [name, first] of this.#links) {
      let target = first
      for (let hops = 0; ; hops += 1) {
        const next = this.#links.get(target)
        if (next === undefined) break
        if (hops === LINKS_MAX) this.#fail(`the link ${quote(name)} leads over more than ${LINKS_MAX} others`)
        target = next
      }
      const entry = this.#files.get(target)
      if (entry !== undefined) entries.set(name, entry)
    }
    return entries
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    if (length > this.#size - offset) this.#fail('it is truncated')
    return await collectBytes(readAt(this.#file, offset, length, this.#what), length, this.#what)
  }

  #twice(name: string): never {
    this.#fail(`it has two different members ${quote(name)}`)
  }

  #leadsOut(name: string): never {
    this.#fail(`${quote(name)} leads out of the archive`)
  }

  #fail(reason: string): never {
    throw new CosignetError('INVALID_IMAGE', `${this.#what} is not valid: ${reason}.`)
  }
}

function isExtension({ type }: TarHeader): boolean {
  return type === 'L' || type === 'K' || type === 'x' || type === 'g'
}
