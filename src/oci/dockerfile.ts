import { CosignetError, encodeUtf8, isCosignetError, parseJson, quote } from '../core/index.ts'
import { parsePlatform } from './build-platform.ts'
import { type DockerfileLine, type FailAt, readDockerfileLines } from './dockerfile-lines.ts'
import { expandWord, splitWords } from './dockerfile-words.ts'
import type { Platform } from './manifest.ts'
import { parseReference, type Reference } from './reference.ts'

/** A Dockerfile that needs no container to be built; words are as written, to be expanded with the environment. */
export interface Dockerfile {
  /** Names it in messages. */
  readonly name: string
  readonly escapeToken: '\\' | '`'
  readonly from: FromInstruction
  readonly steps: readonly Step[]
}

interface Placed {
  /** The line on which it begins, from 1. */
  readonly line: number
}

export interface FromInstruction extends Placed {
  /** undefined: `scratch`, no files at all. */
  readonly base: Reference | undefined
  readonly platform?: Platform
}

export interface CopyStep extends Placed {
  readonly kind: 'COPY' | 'ADD'
  readonly sources: readonly string[]
  readonly destination: string
  readonly chown?: string
  readonly chmod?: string
}

export type Step =
  | CopyStep
  | (Placed & { readonly kind: 'ENV' | 'LABEL'; readonly pairs: readonly (readonly [string, string])[] })
  | (Placed & { readonly kind: 'EXPOSE'; readonly ports: readonly string[] })
  | (Placed & { readonly kind: 'USER' | 'WORKDIR'; readonly value: string })
  | (Placed & {
      readonly kind: 'CMD' | 'ENTRYPOINT'
      /** A string is for the shell; a list is the words of the command. */
      readonly command: string | readonly string[]
    })

/** Instructions of Docker that are not followed, with the reason. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  RUN: 'it needs a running container',
  ARG: 'there are no build arguments',
  VOLUME: 'volumes are not declared here',
  HEALTHCHECK: 'health checks are Docker’s own and not in OCI images',
  STOPSIGNAL: 'the signal of the base stays',
  SHELL: 'there is no RUN that would use it',
  ONBUILD: 'triggers are Docker’s own and not in OCI images',
  MAINTAINER: 'it is deprecated; write LABEL org.opencontainers.image.authors=… instead',
}

const HINT = 'Build this image with docker buildx or buildah, or do this in the base image.'
const HEREDOC = /^[0-9]*<<-?[^<]+$/
/** Git and HTTP addresses, as ADD takes them. */
const REMOTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|git@)/i
const STAGE = /^[a-z][a-z0-9-_.]*$/

const READERS: Readonly<Record<string, (line: DockerfileLine, file: FileRules) => Step>> = {
  COPY: readCopy,
  ADD: readCopy,
  ENV: readPairs,
  LABEL: readPairs,
  EXPOSE: readExpose,
  USER: readValue,
  WORKDIR: readValue,
  CMD: readCommand,
  ENTRYPOINT: readCommand,
}

interface FileRules {
  readonly escapeToken: '\\' | '`'
  readonly fail: FailAt
  readonly refuse: FailAt
}

/**
 * Parses a Dockerfile by BuildKit's rules, as far as it can be built without running anything: FROM, COPY, ADD of
 * local files, ENV, LABEL, EXPOSE, USER, WORKDIR, CMD, ENTRYPOINT, in one stage. Everything else is refused with its
 * line.
 * @param text at most `LIMITS.dockerfileBytes` characters.
 * @param name names the file in messages.
 * @throws INVALID_IMAGE for what no builder takes; UNSUPPORTED for what only others take; INVALID_REFERENCE, TOO_LARGE
 */
export function parseDockerfile(text: string, name: string): Dockerfile {
  const fail: FailAt = (line, reason) => dockerfileError('INVALID_IMAGE', name, line, reason)
  const refuse: FailAt = (line, reason) => dockerfileError('UNSUPPORTED', name, line, reason, HINT)
  const { escapeToken, lines } = readDockerfileLines(text, name, fail)
  const rules: FileRules = { escapeToken, fail, refuse }
  const [first, ...others] = lines
  if (first?.instruction === 'ARG') throw unsupported(first, rules)
  if (first?.instruction !== 'FROM') throw fail(first?.line ?? 1, 'the first instruction must be FROM')
  const from = readFrom(first, rules)
  return { name, escapeToken, from, steps: others.map((line) => readStep(line, rules)) }
}

/** The error for a place in a Dockerfile: `"Dockerfile", line 3: RUN is not supported.` */
export function dockerfileError(
  code: 'INVALID_IMAGE' | 'UNSUPPORTED',
  name: string,
  line: number,
  reason: string,
  hint?: string,
): CosignetError {
  return new CosignetError(code, `${quote(name)}, line ${line}: ${reason}.`, { hint })
}

function readStep(line: DockerfileLine, rules: FileRules): Step {
  const { instruction } = line
  if (instruction === 'FROM') throw rules.refuse(line.line, 'a second FROM (several stages) is not supported')
  if (Object.hasOwn(UNSUPPORTED, instruction)) throw unsupported(line, rules)
  const read = Object.hasOwn(READERS, instruction) ? READERS[instruction] : undefined
  if (read === undefined) throw rules.fail(line.line, `${quote(instruction)} is not an instruction`)
  return read(line, rules)
}

function unsupported({ line, instruction }: DockerfileLine, { refuse }: FileRules): CosignetError {
  return refuse(line, `${instruction} is not supported: ${UNSUPPORTED[instruction] ?? ''}`)
}

function readFrom(source: DockerfileLine, rules: FileRules): FromInstruction {
  const { line } = source
  const { platform } = readFlags(source, rules, ['platform'])
  const [image = '', as, stage, ...more] = blankSeparated(source.rest)
  const isNamed = as?.toLowerCase() === 'as' && stage !== undefined && more.length === 0
  if (image === '' || (as !== undefined && !isNamed)) {
    throw rules.fail(line, 'FROM is followed by an image, or by an image, AS, and a name')
  }
  if (stage !== undefined && !STAGE.test(stage.toLowerCase())) {
    throw rules.fail(line, `${quote(stage)} is not a name of a stage`)
  }
  const expand = (word: string): string => {
    const variable = (): never => {
      throw rules.refuse(line, 'a variable in FROM needs ARG, which is not supported')
    }
    return expandWord(word, { escapeToken: rules.escapeToken, variable, fail: failer(rules, line, word) })
  }
  const name = expand(image)
  return {
    line,
    base: name === 'scratch' ? undefined : located(name, line, rules, parseReference),
    ...(platform === undefined ? {} : { platform: located(expand(platform), line, rules, parsePlatform) }),
  }
}

/** Parses what stands in the file, and says where it stands if it is wrong. */
function located<T>(text: string, line: number, rules: FileRules, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    if (!isCosignetError(error)) throw error
    throw rules.fail(line, error.message.replace(/\.$/, ''))
  }
}

function readCopy(source: DockerfileLine, rules: FileRules): CopyStep {
  const { line, instruction, rest } = source
  const kind = instruction === 'ADD' ? 'ADD' : 'COPY'
  const { chown, chmod } = readFlags(source, rules, ['chown', 'chmod'])
  const words = readJsonWords(rest, line, rules)
  const [destination, ...reversed] = (words ?? blankSeparated(rest)).toReversed()
  if (destination === undefined || reversed.length === 0) {
    throw rules.fail(line, `${kind} needs at least one source and a destination`)
  }
  const sources = reversed.toReversed()
  for (const word of [...sources, destination]) {
    if (words === undefined && HEREDOC.test(word)) throw rules.refuse(line, 'a heredoc is not supported')
  }
  for (const word of sources) {
    if (!REMOTE.test(word)) continue
    throw rules.refuse(line, `${kind} takes files of the context only, not ${quote(word)}`)
  }
  return {
    kind,
    line,
    sources,
    destination,
    ...(chown === undefined ? {} : { chown }),
    ...(chmod === undefined ? {} : { chmod }),
  }
}

function readPairs(source: DockerfileLine, rules: FileRules): Step {
  const { line, instruction, rest } = source
  readFlags(source, rules, [])
  const kind = instruction === 'LABEL' ? 'LABEL' : 'ENV'
  const words = splitWords(rest, rules.escapeToken)
  if (words.length === 0) throw rules.fail(line, `${kind} needs at least one name=value`)
  // The old form has one name and one value, with white space between.
  if (words[0]?.includes('=') === false) {
    const match = /^([^\t\v\f\r ]+)[\t\v\f\r ]+(.*)$/s.exec(rest)
    if (match === null) throw rules.fail(line, `${kind} needs a name and a value`)
    return { kind, line, pairs: [[match[1] ?? '', match[2] ?? '']] }
  }
  const pairs = words.map((word): [string, string] => {
    const equals = word.indexOf('=')
    if (equals === -1) throw rules.fail(line, `${quote(word)} is not of the form name=value`)
    if (equals === 0) throw rules.fail(line, `${quote(word)} has no name`)
    return [word.slice(0, equals), word.slice(equals + 1)]
  })
  return { kind, line, pairs }
}

function readExpose(source: DockerfileLine, rules: FileRules): Step {
  readFlags(source, rules, [])
  if (source.rest === '') throw rules.fail(source.line, 'EXPOSE needs at least one port')
  return { kind: 'EXPOSE', line: source.line, ports: blankSeparated(source.rest).toSorted() }
}

function readValue(source: DockerfileLine, rules: FileRules): Step {
  const { line, instruction, rest } = source
  readFlags(source, rules, [])
  if (rest === '') throw rules.fail(line, `${instruction} needs one argument`)
  return { kind: instruction === 'USER' ? 'USER' : 'WORKDIR', line, value: rest }
}

function readCommand(source: DockerfileLine, rules: FileRules): Step {
  const { line, instruction, rest } = source
  readFlags(source, rules, [])
  const kind = instruction === 'CMD' ? 'CMD' : 'ENTRYPOINT'
  return { kind, line, command: readJsonWords(rest, line, rules) ?? rest }
}

/** A JSON list of strings; undefined where the text is none, which then is for the shell, or words. */
function readJsonWords(text: string, line: number, rules: FileRules): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined
  let value: unknown
  try {
    value = parseJson(encodeUtf8(text), 'the list')
  } catch {
    return undefined
  }
  if (!Array.isArray(value)) return undefined
  return value.map((word: unknown) => {
    if (typeof word !== 'string') throw rules.fail(line, 'its list holds something that is not a string')
    return word
  })
}

/** Flags that the instruction may have, each once and with a value. */
function readFlags<Name extends string>(
  { line, instruction, flags }: DockerfileLine,
  rules: FileRules,
  known: readonly Name[],
): Partial<Record<Name, string>> {
  const values: Partial<Record<Name, string>> = {}
  for (const flag of flags) {
    const [, text = '', , value] = /^--([^=]*)(=(.*))?$/s.exec(flag) ?? []
    const name = known.find((candidate) => candidate === text)
    if (name === undefined) throw rules.refuse(line, `${instruction} --${text} is not supported`)
    if (value === undefined) throw rules.fail(line, `--${name} needs a value: --${name}=…`)
    if (values[name] !== undefined) throw rules.fail(line, `--${name} is there twice`)
    values[name] = value
  }
  return values
}

function blankSeparated(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/).filter((word) => word !== '')
}

function failer({ fail }: FileRules, line: number, word: string): (reason: string) => never {
  return (reason) => {
    throw fail(line, `${quote(word)} cannot be read: ${reason}`)
  }
}
