import { CosignetError, quote } from '../core/index.ts'
import type { FileTree } from './build-tree.ts'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

export const ROOT: Owner = { uid: 0, gid: 0 }

const ID_MAX = 2 ** 31 - 1

/**
 * Reads `user[:group]`, as `--chown` and USER have it: numbers, or names from `/etc/passwd` and `/etc/group` of the
 * image. Without a group, a user by number is in the group of that number, one by name in its own.
 * @throws INVALID_IMAGE for a name that is not there
 */
export function findOwner(text: string, tree: FileTree): Owner {
  const colon = text.indexOf(':')
  const user = colon === -1 ? text : text.slice(0, colon)
  const group = colon === -1 ? undefined : text.slice(colon + 1)
  const owner = findUser(user, tree)
  return group === undefined ? owner : { ...owner, gid: findGroup(group, tree) }
}

function findUser(user: string, tree: FileTree): Owner {
  const id = numberOf(user)
  if (id !== undefined) return { uid: id, gid: id }
  const [, , uid = '', gid = ''] = readRow(user, '/etc/passwd', tree)
  return {
    uid: numberOf(uid) ?? malformed(user, '/etc/passwd'),
    gid: numberOf(gid) ?? malformed(user, '/etc/passwd'),
  }
}

function findGroup(group: string, tree: FileTree): number {
  const id = numberOf(group)
  if (id !== undefined) return id
  const [, , gid = ''] = readRow(group, '/etc/group', tree)
  return numberOf(gid) ?? malformed(group, '/etc/group')
}

function readRow(name: string, path: string, tree: FileTree): readonly string[] {
  const file = tree.get(tree.resolve(path))
  const text = file?.kind === 'file' ? file.text : undefined
  const row = text?.split('\n').find((line) => line.startsWith(`${name}:`))
  if (row !== undefined && name !== '') return row.split(':')
  throw new CosignetError('INVALID_IMAGE', `${quote(name)} is not in ${path} of the base image.`, {
    hint: 'Give it as a number.',
  })
}

function malformed(name: string, path: string): never {
  throw new CosignetError('INVALID_IMAGE', `${quote(name)} has no number in ${path} of the base image.`)
}

function numberOf(text: string): number | undefined {
  if (text === 'root') return 0
  const id = /^[0-9]{1,10}$/.test(text) ? Number(text) : undefined
  return id !== undefined && id <= ID_MAX ? id : undefined
}
