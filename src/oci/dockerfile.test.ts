import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCosignetError } from '../core/index.ts'
import { parseDockerfile, type Step } from './dockerfile.ts'

function steps(...lines: readonly string[]): readonly Step[] {
  return parseDockerfile(['FROM scratch', ...lines].join('\n'), 'Dockerfile').steps
}

const DIGEST = `sha256:${'0'.repeat(64)}`

describe('parseDockerfile', () => {
  it('reads the Dockerfile of the guide', () => {
    expect(parseDockerfile('FROM nginx:1.27-alpine\n\nEXPOSE 80\n', 'Dockerfile')).toEqual({
      name: 'Dockerfile',
      escapeToken: '\\',
      from: { line: 1, base: { registry: 'docker.io', repository: 'library/nginx', tag: '1.27-alpine' } },
      steps: [{ kind: 'EXPOSE', line: 3, ports: ['80'] }],
    })
  })

  it.each<[string, unknown]>([
    ['FROM scratch', { base: undefined }],
    ['from scratch as Build-1', { base: undefined }],
    ['FROM "ghcr.io/a/b:c"', { base: { registry: 'ghcr.io', repository: 'a/b', tag: 'c' } }],
    [`FROM a@${DIGEST}`, { base: { registry: 'docker.io', repository: 'library/a', digest: DIGEST } }],
    [
      'FROM --platform=linux/arm64/v8 scratch',
      { base: undefined, platform: { os: 'linux', architecture: 'arm64' } },
    ],
  ])('reads %s', (text, from) => {
    expect(parseDockerfile(text, 'Dockerfile').from).toEqual({ line: 1, ...(from as object) })
  })

  it('joins lines, leaves out comments, and keeps the line on which an instruction begins', () => {
    const text =
      '\ufeff# a comment\r\n\tFROM \\\r\n  # another\r\n\r\n  scratch\r\n#\r\nCMD one \\  \n  two \\\\\n\nUSER 1'
    expect(parseDockerfile(text, 'Dockerfile')).toMatchObject({
      from: { line: 2, base: undefined },
      steps: [
        { kind: 'CMD', line: 7, command: 'one   two \\\\' },
        { kind: 'USER', line: 10, value: '1' },
      ],
    })
  })

  it('follows the escape character that the file declares, on top only', () => {
    const text = '# syntax=docker/dockerfile:1\n# Escape = `\nFROM scratch\nCMD a `\nb \\\nUSER 1'
    expect(parseDockerfile(text, 'Dockerfile')).toMatchObject({
      escapeToken: '`',
      steps: [{ command: 'a b \\' }, { value: '1' }],
    })
    expect(parseDockerfile('#\n# escape=`\nFROM scratch', 'Dockerfile').escapeToken).toBe('\\')
  })

  it('reads words, lists and flags', () => {
    expect(
      steps(
        'COPY --chown=1:2 --chmod="755" a  b\t/c/',
        'ADD ["a b", "c"]',
        'copy [a] b',
        'COPY -- --a b',
        'ENV A=1 B="x y" C=',
        'ENV A  x = y',
        'LABEL "a b"=\'c\'',
        'EXPOSE 443 80/tcp',
        'WORKDIR /a b',
      ),
    ).toEqual([
      { kind: 'COPY', line: 2, sources: ['a', 'b'], destination: '/c/', chown: '1:2', chmod: '755' },
      { kind: 'ADD', line: 3, sources: ['a b'], destination: 'c' },
      { kind: 'COPY', line: 4, sources: ['[a]'], destination: 'b' },
      { kind: 'COPY', line: 5, sources: ['--a'], destination: 'b' },
      {
        kind: 'ENV',
        line: 6,
        pairs: [
          ['A', '1'],
          ['B', '"x y"'],
          ['C', ''],
        ],
      },
      { kind: 'ENV', line: 7, pairs: [['A', 'x = y']] },
      { kind: 'LABEL', line: 8, pairs: [['"a b"', "'c'"]] },
      { kind: 'EXPOSE', line: 9, ports: ['443', '80/tcp'] },
      { kind: 'WORKDIR', line: 10, value: '/a b' },
    ])
  })

  it('takes a command as a list only where it is JSON', () => {
    expect(
      steps('CMD ["a", "$b"]', "CMD ['a']", 'CMD []', 'CMD [ "a" ] b', 'ENTRYPOINT a "b"', 'CMD').map(
        (step) => {
          return 'command' in step ? step.command : undefined
        },
      ),
    ).toEqual([['a', '$b'], "['a']", [], '[ "a" ] b', 'a "b"', ''])
  })

  it.each<[string, string]>([
    ['RUN true', 'RUN is not supported: it needs a running container'],
    ['run true', 'RUN is not supported: it needs a running container'],
    ['ARG a', 'ARG is not supported: there are no build arguments'],
    ['VOLUME /a', 'VOLUME is not supported'],
    ['HEALTHCHECK NONE', 'HEALTHCHECK is not supported'],
    ['STOPSIGNAL 9', 'STOPSIGNAL is not supported'],
    ['SHELL ["a"]', 'SHELL is not supported'],
    ['ONBUILD USER a', 'ONBUILD is not supported'],
    ['MAINTAINER a', 'MAINTAINER is not supported'],
    ['FROM scratch', 'a second FROM (several stages) is not supported'],
    ['COPY --from=a b c', 'COPY --from is not supported'],
    ['COPY --link a b', 'COPY --link is not supported'],
    ['COPY --exclude=x a b', 'COPY --exclude is not supported'],
    ['ADD --checksum=x a b', 'ADD --checksum is not supported'],
    ['COPY <<EOF /a', 'a heredoc is not supported'],
    ['ADD https://a/b /c', 'ADD takes files of the context only, not "https://a/b"'],
    ['ADD git@a:b.git /c', 'ADD takes files of the context only, not "git@a:b.git"'],
    ['COPY ssh://git@a/b /c', 'COPY takes files of the context only, not "ssh://git@a/b"'],
  ])('refuses %s as another builder’s work, by line', (line, reason) => {
    const error = catchError(() => steps('USER 1', line))
    expect(error).toMatchObject({
      code: 'UNSUPPORTED',
      hint: 'Build this image with docker buildx or buildah, or do this in the base image.',
    })
    expect(error).toHaveProperty('message', expect.stringContaining(`"Dockerfile", line 3: ${reason}`))
  })

  it.each<[string, string, string]>([
    ['nothing', '', '"Dockerfile" has no instruction.'],
    ['comments only', '# a\n\n# b', '"Dockerfile" has no instruction.'],
    ['no FROM', 'USER 1', '"Dockerfile", line 1: the first instruction must be FROM.'],
    ['an unknown instruction', 'FROM a\nRUM x', '"Dockerfile", line 2: "RUM" is not an instruction.'],
    [
      'a name of all objects',
      'FROM a\nconstructor x',
      '"Dockerfile", line 2: "CONSTRUCTOR" is not an instruction.',
    ],
    [
      'FROM alone',
      'FROM',
      '"Dockerfile", line 1: FROM is followed by an image, or by an image, AS, and a name.',
    ],
    [
      'too much in FROM',
      'FROM a b',
      '"Dockerfile", line 1: FROM is followed by an image, or by an image, AS, and a name.',
    ],
    ['a bad stage', 'FROM a AS 1', '"Dockerfile", line 1: "1" is not a name of a stage.'],
    [
      'a bad reference',
      'FROM A B',
      '"Dockerfile", line 1: FROM is followed by an image, or by an image, AS, and a name.',
    ],
    [
      'upper case',
      'FROM x/A',
      '"Dockerfile", line 1: "x/A" is not an image reference: the form is [host[:port]/]path[:tag][@digest].',
    ],
    [
      'a bad platform',
      'FROM --platform=x a',
      '"Dockerfile", line 1: "x" is not a platform such as linux/amd64.',
    ],
    ['one path', 'FROM a\nCOPY x', '"Dockerfile", line 2: COPY needs at least one source and a destination.'],
    [
      'an empty list',
      'FROM a\nCOPY []',
      '"Dockerfile", line 2: COPY needs at least one source and a destination.',
    ],
    [
      'a list of numbers',
      'FROM a\nCMD ["a", 1]',
      '"Dockerfile", line 2: its list holds something that is not a string.',
    ],
    ['a flag twice', 'FROM a\nCOPY --chown=1 --chown=2 a b', '"Dockerfile", line 2: --chown is there twice.'],
    [
      'a flag without a value',
      'FROM a\nCOPY --chown a b',
      '"Dockerfile", line 2: --chown needs a value: --chown=….',
    ],
    ['ENV alone', 'FROM a\nENV', '"Dockerfile", line 2: ENV needs at least one name=value.'],
    ['ENV without a value', 'FROM a\nENV A', '"Dockerfile", line 2: ENV needs a name and a value.'],
    ['ENV without a name', 'FROM a\nENV =a', '"Dockerfile", line 2: "=a" has no name.'],
    ['ENV, half new', 'FROM a\nENV A=1 B', '"Dockerfile", line 2: "B" is not of the form name=value.'],
    ['EXPOSE alone', 'FROM a\nEXPOSE', '"Dockerfile", line 2: EXPOSE needs at least one port.'],
    ['USER alone', 'FROM a\nUSER', '"Dockerfile", line 2: USER needs one argument.'],
    ['a bad escape', '# escape=x\nFROM a', '"Dockerfile", line 1: "x" cannot be the escape character.'],
    [
      'a directive twice',
      '# syntax=a\n# syntax=b\nFROM a',
      '"Dockerfile", line 2: the parser directive syntax is there twice.',
    ],
  ])('refuses %s', (_name, text, message) => {
    expect(catchError(() => parseDockerfile(text, 'Dockerfile'))).toMatchObject({
      code: 'INVALID_IMAGE',
      message,
    })
  })

  it('refuses variables in FROM, and a file that is too long', () => {
    expect(catchError(() => parseDockerfile('FROM a:$TAG', 'D'))).toMatchObject({
      code: 'UNSUPPORTED',
      message: '"D", line 1: a variable in FROM needs ARG, which is not supported.',
    })
    expect(catchError(() => parseDockerfile('#'.repeat(1024 * 1024 + 1), 'D'))).toMatchObject({
      code: 'TOO_LARGE',
    })
  })

  it('fails on any text with an error of its own, if at all', () => {
    const word = fc.oneof(
      fc.constantFrom(
        'FROM',
        'COPY',
        'ENV',
        'CMD',
        'EXPOSE',
        'scratch',
        '--chown=',
        '["',
        '"]',
        '\\',
        '`',
        '$',
        '{',
        '<<E',
      ),
      fc.constantFrom('\n', '\r\n', ' ', '\t', '#', '# escape=`', '=', "'", '"', '\u2028', '\0'),
      fc.string({ unit: 'binary', maxLength: 2 }),
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        for (const text of [words.join(''), `FROM scratch\n${words.join(' ')}`]) {
          const error = catchError(() => parseDockerfile(text, 'Dockerfile'))
          if (error !== undefined && !isCosignetError(error)) throw error
        }
      }),
      { numRuns: 100 },
    )
  })

  it('takes time in proportion to the text', () => {
    const blanks = ' '.repeat(300_000)
    const texts = [
      `FROM scratch\n${'ENV A=\\\n'.repeat(50_000)}`,
      `FROM scratch\nUSER a${blanks}b`,
      `#a=${blanks}b\nFROM scratch`,
    ]
    const start = performance.now()
    for (const text of texts) parseDockerfile(text, 'Dockerfile')
    expect(performance.now() - start).toBeLessThan(3000)
  })
})

function catchError(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}
