import { describe, expect, it } from 'vitest'
import { echoesSecret } from './store-echo.ts'

describe('echoesSecret', () => {
  const secrets = ['-----BEGIN KEY-----\nabcdefghijkl', 'pass', 'ab', '']
  it.each([
    ['invalid: abcdefghijkl', true],
    ['…|efghijkl|…', true],
    ['…|fghijkl|…', false],
    ['wrong password', true],
    ['wrong pas', false],
    ['about', false],
    ['', false],
  ])('%j: %s', (text, expected) => {
    expect(echoesSecret(text, secrets)).toBe(expected)
  })

  it('is fast for the longest that is read', () => {
    const start = performance.now()
    expect(echoesSecret('a'.repeat(8192), ['b'.repeat(4096), 'c'.repeat(4096)])).toBe(false)
    expect(performance.now() - start).toBeLessThan(1000)
  })
})
