import { parse, TomlError, type TomlTable } from 'smol-toml'
import { CosignetError, reasonOf } from '../core/index.ts'

/**
 * Parses TOML as the guest reads it: a byte order mark is skipped, integers beyond 2^53 stay whole.
 * @param what names the document in messages, for example "The cdh.toml of pod.yaml".
 * @returns tables without a prototype, so that a key such as `__proto__` is only a key.
 * @throws INVALID_TOML with line and column.
 */
export function parseToml(text: string, what: string): TomlTable {
  try {
    return parse(text.replace(/^\ufeff/, ''), { integersAsBigInt: 'asNeeded', maxDepth: 64 })
  } catch (error) {
    if (!(error instanceof TomlError)) {
      throw new CosignetError('INVALID_TOML', `${what} is not TOML: ${reasonOf(error)}.`, { cause: error })
    }
    // The message goes on with an excerpt of the document, which may be long and is not one line.
    const reason = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '')
    throw new CosignetError(
      'INVALID_TOML',
      `${what} is not TOML: line ${error.line}, column ${error.column}: ${reason}.`,
      { cause: error },
    )
  }
}

/**
 * Writes a string as TOML, read back as the same string by every TOML 1.0 reader.
 *
 * Text of one line is a basic string. Text of many lines keeps its lines: as a literal (`'''`) where that is asked for
 * and can hold it, else as a basic string (`"""`). A carriage return is always escaped, since readers may take CRLF
 * for a line feed.
 * @throws INVALID_TOML if the string has half of a surrogate pair, which UTF-8 cannot hold.
 */
export function tomlString(value: string, preferred: 'literal' | 'basic' = 'basic'): string {
  if (!value.includes('\n')) return tomlKey(value)
  checkWellFormed(value)
  // The line feed after the opening quotes belongs to the quotes, so a value that begins with one keeps it.
  if (preferred === 'literal' && isLiteral(value)) return `'''\n${value}'''`
  return `"""\n${escapeControls(value).replace(/"(?="")|"$/g, '\\"')}"""`
}

/** Writes a string as a quoted key, which is the same as a basic string on one line. @throws INVALID_TOML as above. */
export function tomlKey(key: string): string {
  checkWellFormed(key)
  return `"${escapeControls(key).replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
}

function checkWellFormed(value: string): void {
  if (value.isWellFormed()) return
  throw new CosignetError('INVALID_TOML', 'Text with half of a surrogate pair cannot be written as TOML.')
}

function isLiteral(value: string): boolean {
  return !value.includes("'''") && !value.endsWith("'") && !NOT_LITERAL.test(value)
}

/** Control characters that TOML forbids unescaped; tab and line feed may stand as they are. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const NOT_LITERAL = /[\u0000-\u0008\u000b-\u001f\u007f]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const ESCAPED = /[\\\u0000-\u0008\u000b-\u001f\u007f]/g

function escapeControls(value: string): string {
  return value.replace(ESCAPED, (character) =>
    character === '\\' ? '\\\\' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
