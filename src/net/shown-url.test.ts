import { describe, expect, it } from 'vitest'
import { shownUrl } from './index.ts'

describe('shownUrl', () => {
  it.each([
    ['https://host:1/path', 'https://host:1/path'],
    ['not a URL', 'not a URL'],
    ['https://me:secret@host/path', 'https://…@host/path'],
    ['https://:secret@host', 'https://…@host'],
    ['https:me:secret@host', 'https:…@host'],
    ['me:secret@host', '…@host'],
    ['https://me:se/cr@et@ho st', 'https://…@ho st'],
    ['https://host/path?token=secret', 'https://host/path'],
    ['https://host/#secret', 'https://host/'],
    // Whether this is a password or a query, nobody can tell.
    ['https://me:sec#ret@host', 'https://…'],
    ['https://host/?token=a@secret', 'https://…'],
  ])('shows of %s only %s', (text, shown) => {
    expect(shownUrl(text)).toBe(shown)
  })
})
