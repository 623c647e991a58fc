import { BOOLEAN, type Shape, STRING, STRING_MAP, STRINGS } from './pull-json.ts'

const I64: Shape = { kind: 'integer', min: -(2n ** 63n), max: 2n ** 63n - 1n }
const U8: Shape = { kind: 'integer', min: 0n, max: 255n }

const DESCRIPTOR: Shape = {
  kind: 'struct',
  required: { mediaType: STRING, digest: STRING, size: I64 },
  optional: { urls: STRINGS, annotations: STRING_MAP },
}

/** An image manifest as the guest reads it (oci-client, `OciImageManifest`). */
export const IMAGE_MANIFEST: Shape = {
  kind: 'struct',
  required: { schemaVersion: U8, config: DESCRIPTOR, layers: { kind: 'list', items: DESCRIPTOR } },
  optional: { mediaType: STRING, subject: DESCRIPTOR, artifactType: STRING, annotations: STRING_MAP },
}

const PLATFORM: Shape = {
  kind: 'struct',
  required: { architecture: STRING, os: STRING },
  optional: { 'os.version': STRING, 'os.features': STRINGS, variant: STRING, features: STRINGS },
}

const INDEX_ENTRY: Shape = {
  kind: 'struct',
  required: { mediaType: STRING, digest: STRING, size: I64 },
  optional: { platform: PLATFORM, annotations: STRING_MAP },
}

/** An index as the guest reads it (oci-client, `OciImageIndex`). */
export const IMAGE_INDEX: Shape = {
  kind: 'struct',
  required: { schemaVersion: U8, manifests: { kind: 'list', items: INDEX_ENTRY } },
  optional: { mediaType: STRING, artifactType: STRING, annotations: STRING_MAP },
}

/** Go's `map[string]struct{}`. */
const SET: Shape = { kind: 'map', values: { kind: 'struct', required: {}, optional: {} } }

const CONTAINER_CONFIG: Shape = {
  kind: 'struct',
  required: {},
  optional: {
    User: STRING,
    ExposedPorts: SET,
    Env: STRINGS,
    Entrypoint: STRINGS,
    Cmd: STRINGS,
    Volumes: SET,
    WorkingDir: STRING,
    Labels: STRING_MAP,
    StopSignal: STRING,
  },
}

const HISTORY: Shape = {
  kind: 'struct',
  required: {},
  optional: {
    created: STRING,
    author: STRING,
    created_by: STRING,
    comment: STRING,
    empty_layer: BOOLEAN,
  },
}

/** An image configuration as the guest reads it (oci-spec-rs, `ImageConfiguration`). */
export const IMAGE_CONFIG: Shape = {
  kind: 'struct',
  required: {
    architecture: STRING,
    os: STRING,
    rootfs: { kind: 'struct', required: { type: STRING, diff_ids: STRINGS }, optional: {} },
  },
  optional: {
    created: STRING,
    author: STRING,
    'os.version': STRING,
    'os.features': STRINGS,
    variant: STRING,
    config: CONTAINER_CONFIG,
    history: { kind: 'list', items: HISTORY },
  },
}
