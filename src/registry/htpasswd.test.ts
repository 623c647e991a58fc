import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from './htpasswd.ts'

// Test vector of crypt_blowfish for the password "U*U"; for ASCII, $2y$ and $2b$ are the same.
const REST = '$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'
const HASH = `$2y${REST}`

const parse = (text: string | Uint8Array) => parseHtpasswd(Buffer.from(text), 'The file')

describe('parseHtpasswd', () => {
  it('reads users, comments and blank lines', () => {
    const text = `# people\n\nann:${HASH}\r\n  bob smith:$2b${REST}\n#old:x\nzoë:$2a${REST}`
    expect([...parse(text)]).toEqual([
      ['ann', HASH],
      ['bob smith', `$2b${REST}`],
      ['zoë', `$2a${REST}`],
    ])
  })

  it.each([
    ['nothing', '', 'The file has no user.'],
    ['comments alone', '# a\n', 'The file has no user.'],
    ['no colon', `a:${HASH}\nsecret-pass`, 'The file, line 2: it is not of the form USER:HASH.'],
    ['no user', `:${HASH}`, 'The file, line 1: it is not of the form USER:HASH.'],
    ['a plain password', '\n\na:secret-pass', 'The file, line 3: the hash is not one of bcrypt.'],
    ['MD5', 'a:$apr1$secret-pass$x', 'The file, line 1: the hash is not one of bcrypt.'],
    ['SHA-1', 'a:{SHA}secret-pass', 'The file, line 1: the hash is not one of bcrypt.'],
    ['a bug of PHP', `a:$2x${REST}`, 'The file, line 1: the hash is not one of bcrypt.'],
    ['a hash cut short', `a:${HASH.slice(0, -1)}`, 'The file, line 1: the hash is not one of bcrypt.'],
    ['more behind it', `a:${HASH}:x`, 'The file, line 1: the hash is not one of bcrypt.'],
    ['no work', `a:${HASH.replace('$05$', '$03$')}`, 'The file, line 1: the cost 3 is not one of 4 to 14.'],
    ['too much', `a:${HASH.replace('$05$', '$31$')}`, 'The file, line 1: the cost 31 is not one of 4 to 14.'],
    ['a user twice', `a:${HASH}\n\na:${HASH}`, 'The file, line 3: the user is there twice.'],
    ['no UTF-8', Buffer.from([0x61, 0xff]), 'The file is not UTF-8.'],
  ])('refuses %s', (_what, text, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG', message }))
  })
})
