import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { CosignetError } from '../core/index.ts'
import { formatFailure, statusOfFailure } from './failure.ts'

const DENIED_WRITE = new CosignetError('ALREADY_EXISTS', 'The file "a" exists already.', {
  hint: 'Take another.',
})
const quiet = { output: 'text', debug: false } as const

describe('formatFailure', () => {
  it('is one line, and a hint where there is one', () => {
    expect(formatFailure(DENIED_WRITE, quiet)).toBe(
      'cosignet: The file "a" exists already.\n  hint: Take another.\n',
    )
    expect(formatFailure(new CosignetError('USAGE', 'Give a\nkey.'), quiet)).toBe('cosignet: Give a key.\n')
  })

  it('is a document in the chosen format', () => {
    const error = {
      code: 'ALREADY_EXISTS',
      message: 'The file "a" exists already.',
      hint: 'Take another.',
      retryable: false,
    }
    expect(JSON.parse(formatFailure(DENIED_WRITE, { output: 'json', debug: false }))).toEqual({ error })
    expect(parse(formatFailure(DENIED_WRITE, { output: 'yaml', debug: false }))).toEqual({ error })
    const { hint: _, ...bare } = error
    const noHint = new CosignetError('ALREADY_EXISTS', error.message)
    expect(JSON.parse(formatFailure(noHint, { output: 'json', debug: false }))).toEqual({ error: bare })
    expect(parse(formatFailure(noHint, { output: 'yaml', debug: false }))).toEqual({ error: bare })
  })

  it('shows a stack to who debugs, and to no one else', () => {
    expect(formatFailure(DENIED_WRITE, quiet)).not.toMatch(/^ {4}at /m)
    expect(formatFailure(DENIED_WRITE, { output: 'text', debug: true })).toMatch(/^ {4}at /m)
  })

  it('owns up to an error that nobody foresaw', () => {
    const text = formatFailure(new TypeError('x is\nnot a function'), quiet)
    expect(text).toMatch(/^cosignet: This is a mistake in cosignet: x is not a function\.\n {2}hint: .+\n$/)
    expect(formatFailure('thrown text', quiet)).toMatch(
      /^cosignet: This is a mistake in cosignet: thrown text\./,
    )
  })

  it('says of an abort that it was stopped', () => {
    expect(formatFailure(new DOMException('This operation was aborted', 'AbortError'), quiet)).toBe(
      'cosignet: Stopped before it was done.\n',
    )
  })
})

describe('statusOfFailure', () => {
  it.each([
    [new CosignetError('USAGE', 'x'), 2],
    [new CosignetError('INVALID_KEY', 'x'), 2],
    [new CosignetError('UNAVAILABLE', 'x'), 3],
    [new CosignetError('FORBIDDEN', 'x'), 3],
    [new TypeError('x'), 3],
    [undefined, 3],
  ])('of %s is %i: never 0 or 1, which are verdicts', (error, status) => {
    expect(statusOfFailure(error)).toBe(status)
  })
})
