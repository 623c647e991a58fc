import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { LIMITS } from '../core/index.ts'
import { createBasicAuth } from './basic-auth.ts'
import { createPasswordVerifier, type PasswordVerifier } from './password-thread.ts'

// Test vectors of crypt_blowfish for the passwords "U*U" and "U*U*".
const ONE = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'
const TWO = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK'
const USERS = new Map([
  ['ann', ONE],
  ['bob', TWO],
])

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

/** The check over a verifier that counts, with a clock that a test sets. */
function setUp(verify: PasswordVerifier = createPasswordVerifier()) {
  const asked: string[] = []
  const time = { now: 0 }
  const authenticate = createBasicAuth({
    users: USERS,
    verify: (password, hash) => {
      asked.push(hash)
      return verify(password, hash)
    },
    clock: () => new Date(time.now),
    secret: Buffer.alloc(32, 7),
  })
  return { authenticate, asked, time }
}

describe('createBasicAuth', () => {
  it.each([
    ['the right password', basic('ann:U*U'), true],
    ['that of another', basic('bob:U*U*'), true],
    ['a scheme in other letters', basic('ann:U*U').replace('Basic', 'bASIC'), true],
    ['the password of another user', basic('ann:U*U*'), false],
    ['no password', basic('ann:'), false],
    ['a hash for a password', basic(`ann:${ONE}`), false],
    ['a user who is not there', basic('eve:U*U'), false],
    ['a user in other letters', basic('Ann:U*U'), false],
    ['more behind the password', basic('ann:U*U\0'), false],
  ])('judges %s', async (_what, header, expected) => {
    const { authenticate, asked } = setUp()
    expect(await authenticate(header)).toBe(expected)
    // Nobody is turned away faster than others.
    expect(asked).toHaveLength(1)
  })

  it.each([
    ['nothing', undefined],
    ['no text', ''],
    ['another scheme', 'Bearer YW5uOlUqVQ=='],
    ['no base64', 'Basic ann:U*U'],
    ['no colon', basic('ann')],
    ['no user', basic(':U*U')],
    ['no UTF-8', `Basic ${Buffer.from([0xff, 0x3a, 0x61]).toString('base64')}`],
    ['two credentials', `${basic('ann:U*U')}, ${basic('ann:U*U')}`],
  ])('refuses %s without a look', async (_what, header) => {
    const { authenticate, asked } = setUp()
    expect(await authenticate(header)).toBe(false)
    expect(asked).toEqual([])
  })

  it('remembers what was right for a while, and nothing that was wrong', async () => {
    const { authenticate, asked, time } = setUp()
    const ask = (text: string) => authenticate(basic(text))
    expect([await ask('ann:U*U'), await ask('ann:U*U'), asked.length]).toEqual([true, true, 1])
    expect([await ask('ann:x'), await ask('ann:x'), asked.length]).toEqual([false, false, 3])
    // A wrong guess does not make the right one forgotten.
    expect([await ask('ann:U*U'), asked.length]).toEqual([true, 3])
    time.now = LIMITS.registryLoginMs
    expect([await ask('ann:U*U'), asked.length]).toEqual([true, 4])
  })

  it('computes a password once for requests that come at once', async () => {
    const { authenticate, asked } = setUp()
    const answers = await Promise.all(Array.from({ length: 8 }, () => authenticate(basic('ann:U*U'))))
    expect([answers.every(Boolean), asked.length]).toEqual([true, 1])
  })

  it('takes the same hash each time for a user who is not there', async () => {
    const { authenticate, asked } = setUp(async () => true)
    for (const user of ['eve', 'eve', 'eve']) expect(await authenticate(basic(`${user}:x`))).toBe(false)
    expect(new Set(asked).size).toBe(1)
    expect([ONE, TWO]).toContain(asked[0])
  })
})

describe('createPasswordVerifier', () => {
  it('leaves the event loop alone while it computes', async () => {
    const verify = createPasswordVerifier()
    await verify('', ONE)
    let turns = 0
    const timer = setInterval(() => {
      turns += 1
    }, 1)
    // Cost 11 takes some hundred milliseconds.
    expect(await verify('wrong', ONE.replace('$05$', '$11$'))).toBe(false)
    clearInterval(timer)
    expect(turns).toBeGreaterThan(10)
  })

  it('keeps a process until the answer, and no longer', () => {
    const module = fileURLToPath(new URL('password-thread.ts', import.meta.url))
    const script = `const { createPasswordVerifier } = await import(${JSON.stringify(module)})
      console.log(await createPasswordVerifier()('U*U', ${JSON.stringify(ONE)}))`
    const args = ['--input-type=module', '--eval', script]
    const { status, stdout } = spawnSync(process.execPath, args, { timeout: 10_000, encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'true\n' })
  })

  it('lets no more than a bounded number wait', async () => {
    const verify = createPasswordVerifier()
    const waiting = Array.from({ length: LIMITS.registryLogins }, () =>
      verify('U*U', ONE.replace('05', '04')),
    )
    expect(() => verify('U*U', ONE)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }))
    await Promise.all(waiting)
    expect(await verify('U*U', ONE)).toBe(true)
  })
})
