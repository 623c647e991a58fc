import { describe, expect, it } from 'vitest'
import { LIMITS } from '../core/index.ts'
import { parseWorkloads } from './workloads.ts'

/** The Pod of the CoCo guide "Signed images", with its placeholders filled in. */
const GUIDE = `apiVersion: v1
kind: Pod
metadata:
  labels:
    run: test-container
  name: test-container
  annotations:
    io.katacontainers.config.hypervisor.kernel_params: agent.aa_kbc_params=cc_kbc::http://kbs.example:8080 agent.image_policy_file=kbs:///default/security-policy/test agent.enable_signature_verification=true
spec:
  containers:
    - name: test-container
      image: ghcr.io/confidential-containers/test-container:cosign-sig
  dnsPolicy: ClusterFirst
  runtimeClassName: kata-qemu-coco-dev
`

const template = (indent: string): string =>
  ['metadata:', '  annotations: {a: b}', 'spec:', '  containers: [{name: c, image: i}]', '']
    .map((line) => (line === '' ? '' : indent + line))
    .join('\n')

describe('parseWorkloads', () => {
  it('reads the Pod of the guide', () => {
    expect(parseWorkloads(GUIDE, 'The file pod.yaml')).toEqual([
      {
        kind: 'Pod',
        name: 'test-container',
        namespace: undefined,
        document: 0,
        podPath: [],
        annotations: new Map([
          [
            'io.katacontainers.config.hypervisor.kernel_params',
            'agent.aa_kbc_params=cc_kbc::http://kbs.example:8080 agent.image_policy_file=kbs:///default/security-policy/test agent.enable_signature_verification=true',
          ],
        ]),
        runtimeClassName: 'kata-qemu-coco-dev',
        containers: [
          {
            name: 'test-container',
            image: 'ghcr.io/confidential-containers/test-container:cosign-sig',
            kind: 'container',
            imagePullPolicy: undefined,
          },
        ],
      },
    ])
  })

  it.each(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job'])(
    'finds the template of a %s',
    (kind) => {
      const text = `kind: ${kind}\nmetadata: {name: x, namespace: n, annotations: {not: this}}\nspec:\n  template:\n${template('    ')}`
      expect(parseWorkloads(text, 'The file')).toMatchObject([
        {
          kind,
          name: 'x',
          namespace: 'n',
          podPath: ['spec', 'template'],
          annotations: new Map([['a', 'b']]),
          containers: [{ name: 'c', image: 'i' }],
        },
      ])
    },
  )

  it('finds the template of a CronJob', () => {
    const text = `kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n${template('        ')}`
    expect(parseWorkloads(text, 'The file')).toMatchObject([
      { kind: 'CronJob', name: '', podPath: ['spec', 'jobTemplate', 'spec', 'template'] },
    ])
  })

  it('finds Pods in Lists and in later documents and passes over the rest', () => {
    const list = `kind: List\nitems:\n- kind: Service\n  spec: {}\n- kind: Pod\n${template('  ')}`
    const text = `# first\n---\nkind: ConfigMap\ndata: {kind: Pod}\n---\n${list}---\n---\nkind: Pod\n${template('')}`
    expect(parseWorkloads(text, 'The file').map(({ document, podPath }) => [document, podPath])).toEqual([
      [1, ['items', 1]],
      [3, []],
    ])
  })

  it('lists init, main and ephemeral containers in this order', () => {
    const text = `kind: Pod
metadata: {generateName: web-}
spec:
  ephemeralContainers: [{name: e, image: e:1}]
  containers: [{name: c, image: c:1, imagePullPolicy: Always}]
  initContainers: [{name: i, image: i:1}]
`
    expect(parseWorkloads(text, 'The file')).toMatchObject([
      {
        name: 'web-',
        containers: [
          { name: 'i', kind: 'init' },
          { name: 'c', kind: 'container', imagePullPolicy: 'Always' },
          { name: 'e', kind: 'ephemeral' },
        ],
      },
    ])
  })

  it('follows anchors and merge keys', () => {
    const text = `x: &base {image: i, imagePullPolicy: Always}
kind: Pod
spec:
  containers:
  - {<<: *base, name: a}
  - {<<: *base, name: b, image: j}
`
    expect(parseWorkloads(text, 'The file')[0]?.containers.map(({ image }) => image)).toEqual(['i', 'j'])
  })

  it('reads JSON', () => {
    const text = JSON.stringify({ kind: 'Pod', spec: { containers: [{ name: 'c', image: 'i' }] } })
    expect(parseWorkloads(text, 'The file')).toHaveLength(1)
  })

  it('is not taken in by the names of object properties', () => {
    expect(() => parseWorkloads('kind: constructor\n__proto__: {kind: Pod}', 'The file')).toThrowError(
      'The file has no Pod in it',
    )
  })

  it('takes a mapping of 20,000 keys in a moment', () => {
    const data = Array.from({ length: 20_000 }, (_, i) => `  k${i}: v\n`).join('')
    const text = `kind: ConfigMap\ndata:\n${data}---\nkind: Pod\n${template('')}`
    const start = performance.now()
    expect(parseWorkloads(text, 'The file')).toHaveLength(1)
    // A comparison of each key with all before it takes ten times as long.
    expect(performance.now() - start).toBeLessThan(2500)
  })

  const pod = (spec: string, metadata = '{name: x}'): string =>
    `kind: Pod\nmetadata: ${metadata}\nspec: ${spec}`
  const full = '{containers: [{name: c, image: i}]}'
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefg'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdef'[i]},`.repeat(9)}]`),
  ].join('\n')
  it.each([
    ['', 'INVALID_POD', 'The file has no Pod in it, and nothing that runs one.'],
    ['hello', 'INVALID_POD', 'has no Pod in it'],
    ['kind: Service', 'INVALID_POD', 'has no Pod in it'],
    ['kind: Pod', 'INVALID_POD', 'the Pod "" has no spec.'],
    ['kind: Job\nmetadata: {name: j}', 'INVALID_POD', 'the Job "j" has no spec.template.spec.'],
    [pod('{}'), 'INVALID_POD', 'the Pod "x" has no containers.'],
    [pod('{initContainers: [{name: c, image: i}]}'), 'INVALID_POD', 'has no containers.'],
    [pod('{containers: c}'), 'INVALID_POD', 'has containers that are not a list.'],
    [pod('{containers: [{name: c}]}'), 'INVALID_POD', 'has no containers[0].image.'],
    [pod('{containers: [{name: c, image: ""}]}'), 'INVALID_POD', 'has no containers[0].image.'],
    [pod('{containers: [{image: i}]}'), 'INVALID_POD', 'has no containers[0].name.'],
    [
      pod('{containers: [{name: c, image: 1.27}]}'),
      'INVALID_POD',
      'has a containers[0].image that is not a string.',
    ],
    [pod('{containers: [null]}'), 'INVALID_POD', 'has no containers[0].name.'],
    [pod(full, '{annotations: {a: true}}'), 'INVALID_POD', 'has an annotation "a" that is not a string'],
    [pod(full, '{annotations: {a: 5}}'), 'INVALID_POD', 'has an annotation "a" that is not a string'],
    [pod(full, '{annotations: {a: }}'), 'INVALID_POD', 'has an annotation "a" that is not a string'],
    [pod(full, '{annotations: [a]}'), 'INVALID_POD', 'has annotations that are not a mapping.'],
    [pod(full, '{name: 5}'), 'INVALID_POD', 'the Pod "5" has a metadata.name that is not a string.'],
    [`${pod(full)}\nspec: {}`, 'INVALID_POD', 'The file has a key twice in one mapping: line 4, column 1.'],
    ['kind: Pod\n\tspec: 1', 'INVALID_YAML', 'The file is not YAML: line 2, column 1: '],
    ['kind: Pod\nspec: [1', 'INVALID_YAML', 'The file is not YAML: line 2, column 9: '],
    ['a: *b', 'INVALID_YAML', 'has aliases that cannot be followed: Unresolved alias'],
    ['&a {kind: List, items: [*a]}', 'INVALID_POD', 'Lists deeper than 4 levels'],
    [bomb, 'INVALID_YAML', 'Excessive alias count'],
    ['['.repeat(100_000), 'INVALID_YAML', 'The file is not YAML'],
    ['- '.repeat(100_000), 'INVALID_YAML', 'The file is not YAML'],
    ['a'.repeat(LIMITS.workloadBytes + 1), 'TOO_LARGE', 'is larger than the limit'],
    [`${'{kind: List, items: ['.repeat(6)}${']}'.repeat(6)}`, 'INVALID_POD', 'Lists deeper than 4 levels'],
  ])('refuses document %#', (text, code, message) => {
    expect(() => parseWorkloads(text, 'The file')).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })
})
