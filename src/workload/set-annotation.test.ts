import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { setPodAnnotation } from './set-annotation.ts'
import { parseWorkloads } from './workloads.ts'

const KEY = 'io.katacontainers.config.hypervisor.cc_init_data'
const VALUE = `H4sI${'A'.repeat(300)}==`

const annotationsOf = (text: string, name?: string): ReadonlyMap<string, string> | undefined =>
  parseWorkloads(text, 'The file').find((workload) => name === undefined || workload.name === name)
    ?.annotations

/** Lines that only one of two texts has: what a diff of the two shows, for texts without repeated lines. */
const diff = (before: string, after: string): { removed: string[]; added: string[] } => {
  const [a, b] = [before.split('\n'), after.split('\n')]
  const kept = b.filter((line) => a.includes(line))
  expect(a.filter((line) => b.includes(line))).toEqual(kept)
  return { removed: a.filter((line) => !b.includes(line)), added: b.filter((line) => !a.includes(line)) }
}

const pod = (metadata: string): string => `# A comment at the top
apiVersion:   v1     # odd spacing stays
kind: 'Pod'
metadata:   # about the Pod
${metadata}
spec:
    containers:
    -   name: "c"
        image: i # the image

    # a comment in between
    runtimeClassName: kata
`

describe('setPodAnnotation', () => {
  it.each([
    [
      'adds annotations where there are none',
      pod('  # the name\n  name: x'),
      [],
      ['  annotations:', `    ${KEY}: "${VALUE}"`],
    ],
    [
      'adds one to others, above the comment that belongs to another',
      pod('  name: x\n  annotations:   # ours\n      # who owns it\n      owner: me'),
      [],
      [`      ${KEY}: "${VALUE}"`],
    ],
    [
      'replaces one in place',
      pod(`  annotations:\n    a: b\n    ${KEY}: 'old' # from yesterday\n    z: y\n  name: x`),
      [`    ${KEY}: 'old' # from yesterday`],
      [`    ${KEY}: "${VALUE}" # from yesterday`],
    ],
    [
      'replaces a block scalar',
      pod(`  annotations:\n    ${KEY}: |-\n      old1\n      old2\n\n    z: y\n  name: x`),
      [`    ${KEY}: |-`, '      old1', '      old2'],
      [`    ${KEY}: "${VALUE}"`],
    ],
    [
      'replaces a plain scalar of many lines',
      pod(`  annotations:\n    ${KEY}: old1\n      old2\n  name: x`),
      [`    ${KEY}: old1`, '      old2'],
      [`    ${KEY}: "${VALUE}"`],
    ],
    [
      'fills an empty flow mapping',
      pod('  name: x\n  annotations: {} # none'),
      ['  annotations: {} # none'],
      [`  annotations: {"${KEY}": "${VALUE}"} # none`],
    ],
    [
      'adds to a flow mapping',
      pod('  name: x\n  annotations: {a: b}'),
      ['  annotations: {a: b}'],
      [`  annotations: {"${KEY}": "${VALUE}", a: b}`],
    ],
    [
      'fills annotations that are left empty',
      pod('  name: x\n  annotations: # none yet'),
      ['  annotations: # none yet'],
      [`  annotations: {"${KEY}": "${VALUE}"} # none yet`],
    ],
    [
      'fills annotations that are null',
      pod('  name: x\n  annotations: ~'),
      ['  annotations: ~'],
      [`  annotations: {"${KEY}": "${VALUE}"}`],
    ],
    [
      'replaces what an alias stands for, here only',
      pod(`  name: &n x\n  annotations:\n    ${KEY}: *n`),
      [`    ${KEY}: *n`],
      [`    ${KEY}: "${VALUE}"`],
    ],
  ])('%s', (_, before, removed, added) => {
    const after = setPodAnnotation(before, KEY, VALUE)
    expect(diff(before, after)).toEqual({ removed, added })
    expect(annotationsOf(after)?.get(KEY)).toBe(VALUE)
  })

  it('changes the template and not the Deployment', () => {
    const before = `kind: Deployment
metadata:
  name: web
  annotations:
    ${KEY}: not this
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      containers: [{name: c, image: i}]
`
    const after = setPodAnnotation(before, KEY, VALUE)
    expect(diff(before, after)).toEqual({
      removed: [],
      added: ['      annotations:', `        ${KEY}: "${VALUE}"`],
    })
    expect(annotationsOf(after)?.get(KEY)).toBe(VALUE)
  })

  it('changes the workload that is named, among documents and Lists', () => {
    const item = (name: string): string =>
      `- kind: Pod\n  metadata:\n    name: ${name}\n  spec: {containers: [{name: c, image: i}]}\n`
    const before = `${pod('  name: first')}---\nkind: List\nitems:\n${item('second')}${item('third')}`
    const after = setPodAnnotation(before, KEY, VALUE, { workload: 'third' })
    expect(after).toBe(
      before.replace('    name: third\n', `    annotations:\n      ${KEY}: "${VALUE}"\n    name: third\n`),
    )
    expect(annotationsOf(after, 'second')).toEqual(new Map())
  })

  it('keeps line ends of Windows', () => {
    const before = pod('  name: x').replaceAll('\n', '\r\n')
    const after = setPodAnnotation(before, KEY, VALUE)
    expect(after.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
    expect(after.replace(`  annotations:\r\n    ${KEY}: "${VALUE}"\r\n`, '')).toBe(before)
  })

  it('keeps JSON', () => {
    const value = { kind: 'Pod', metadata: { name: 'x' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
    for (const space of [0, 2]) {
      const after: unknown = JSON.parse(setPodAnnotation(JSON.stringify(value, null, space), KEY, 'v\u2028'))
      expect(after).toEqual({ ...value, metadata: { annotations: { [KEY]: 'v\u2028' }, name: 'x' } })
    }
  })

  it('says the same when it is said twice', () => {
    const once = setPodAnnotation(pod('  name: x'), KEY, VALUE)
    expect(setPodAnnotation(once, KEY, VALUE)).toBe(once)
  })

  it('carries any text, on one line', () => {
    const before = pod('  name: x\n  annotations:\n    a: b')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const after = setPodAnnotation(before, KEY, value)
        expect(annotationsOf(after)).toEqual(
          new Map([
            [KEY, value],
            ['a', 'b'],
          ]),
        )
        expect(after.split('\n').length).toBe(before.split('\n').length + 1)
      }),
    )
  })

  it.each(['true', 'a', '1e5', 'x.example/1'])('writes the key %s so that it stays a string', (key) => {
    expect(annotationsOf(setPodAnnotation(pod('  name: x'), key, 'v'))).toEqual(new Map([[key, 'v']]))
  })

  const shared = `kind: Pod
metadata: &m
  name: x
  annotations: {a: b}
spec: {containers: [{name: c, image: i}]}
`
  it.each([
    [
      'an anchor',
      `kind: Pod\nother: &a {a: b}\nmetadata: {annotations: *a}\nspec: {containers: [{name: c, image: i}]}`,
    ],
    [
      'an alias of all metadata',
      'kind: Pod\nother: &a {a: b}\nmetadata: *a\nspec: {containers: [{name: c, image: i}]}',
    ],
    ['an anchor on what would change', `${shared}copy: *m`],
    [
      'a merge key',
      'kind: Pod\nother: &a {annotations: {a: b}}\nmetadata: {<<: *a}\nspec: {containers: [{name: c, image: i}]}',
    ],
    [
      'explicit keys',
      'kind: Pod\nmetadata:\n  ? annotations\n  : a: b\nspec: {containers: [{name: c, image: i}]}',
    ],
    [
      'a key without a value',
      'kind: Pod\nmetadata: {annotations, name: x}\nspec: {containers: [{name: c, image: i}]}',
    ],
    ['no metadata', 'kind: Pod\nspec: {containers: [{name: c, image: i}]}'],
  ])('refuses to edit behind %s', (_, text) => {
    expect(() => setPodAnnotation(text, KEY, VALUE)).toThrowError(
      expect.objectContaining({ code: 'INVALID_POD' }),
    )
  })

  it.each([
    ['', 'is not a key that Kubernetes accepts'],
    ['a b', '"a b" is not a key'],
    ['a\nb', 'is not a key'],
    ['Upper.example/a', 'is not a key'],
    ['a'.repeat(64), 'is not a key'],
  ])('refuses the key %j', (key, message) => {
    expect(() => setPodAnnotation(pod('  name: x'), key, 'v')).toThrowError(
      expect.objectContaining({ code: 'INVALID_POD', message: expect.stringContaining(message) }),
    )
  })

  it('refuses a choice that is none', () => {
    const two = `${pod('  name: a')}---\n${pod('  name: b')}---\n${pod('  name: b')}`
    expect(() => setPodAnnotation(two, KEY, VALUE)).toThrowError(
      'The manifest has 3 workloads; name one of them: Pod "a", Pod "b", Pod "b".',
    )
    expect(() => setPodAnnotation(two, KEY, VALUE, { workload: 'c' })).toThrowError(
      'has no workload "c": Pod "a"',
    )
    expect(() => setPodAnnotation(two, KEY, VALUE, { workload: 'b' })).toThrowError(
      'more than one workload "b"',
    )
    expect(() => setPodAnnotation(two, KEY, '\ud800', { workload: 'a' })).toThrowError('is not valid Unicode')
  })
})
