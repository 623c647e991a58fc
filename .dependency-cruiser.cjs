// The house: a room imports only the rooms listed for it, and only through their index.ts (ARCHITECTURE.md).
const rooms = {
  core: [],
  net: ['core'],
  workload: ['core'],
  keys: ['net', 'core'],
  oci: ['net', 'core'],
  registry: ['oci', 'net', 'core'],
  signature: ['keys', 'oci', 'net', 'core'],
  policy: ['signature', 'keys', 'oci', 'core'],
  transfer: ['policy', 'signature', 'keys', 'oci', 'net', 'core'],
  kbs: ['keys', 'net', 'core'],
  guest: ['policy', 'kbs', 'workload', 'signature', 'keys', 'oci', 'net', 'core'],
  kube: ['guest', 'policy', 'signature', 'keys', 'oci', 'kbs', 'workload', 'net', 'core'],
}

const layering = Object.entries(rooms).map(([room, below]) => ({
  name: `${room}-imports-only-below`,
  comment: `src/${room} may import ${below.length > 0 ? below.join(', ') : 'no other room'}.`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: `^src/(${[room, ...below].join('|')})/` },
}))

module.exports = {
  forbidden: [
    ...layering,
    {
      name: 'rooms-through-their-door',
      comment: 'Another room is imported through its index.ts, nothing deeper.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: {
        path: '^src/[^/]+/',
        pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$', '^src/kbs/(client|server)/index\\.ts$'],
      },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'only-net-opens-connections',
      comment: 'Outgoing connections and listening sockets belong to src/net.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/net/', '\\.test\\.ts$'] },
      to: { path: '^(node:)?(http|https|http2|net|tls|dgram)$' },
    },
    {
      name: 'no-dev-dependency-in-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'product-imports-no-test',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: '(\\.test\\.ts$|^test/)' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
