const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000

/**
 * Every upper bound on what is read from outside, in one place. Sizes are bytes, times are milliseconds. What exceeds
 * a limit is refused with `TOO_LARGE` or `TIMEOUT`, never cut short.
 */
export const LIMITS = {
  /** A manifest or index (distribution-spec suggests 4 MiB as the least that registries accept). */
  manifestBytes: 4 * MiB,
  /** An image configuration. */
  configBytes: 4 * MiB,
  /** One signature payload (simple signing). Cosign's are about 250 bytes. */
  payloadBytes: 1 * MiB,
  /** All signature payloads of one image together. */
  payloadsBytes: 16 * MiB,
  /** Signatures on one image that are read; cosign writes at most 1000 layers. */
  signatures: 1000,
  /** Signatures beside one manifest in a lookaside store; containers/image gives up at the 128th. */
  lookasideSignatures: 127,
  /** Layers in one image that are read. */
  layers: 1000,
  /** Manifests in one index that are read. */
  indexEntries: 1000,
  /** Referrers of one image that are read, over all pages. */
  referrers: 1000,
  /** Manifests in a layout that refer to others, together. */
  referrersBytes: 64 * MiB,
  /** Files of a layout or `dir:` that are searched for referrers which no index lists. */
  unlistedBlobs: 10_000,
  /** A blob of any other kind: the most that a digest is computed over. */
  blobBytes: 64 * 1024 * MiB,
  /** Bytes that one layer may unpack to (against decompression bombs). */
  unpackedLayerBytes: 256 * 1024 * MiB,
  /** Entries in the layers of a base image, whose files and folders a build looks through. */
  baseEntries: 2_000_000,
  /** A Dockerfile, or the file that says what of its context is left out. */
  dockerfileBytes: 1 * MiB,
  /** Instructions in a Dockerfile. */
  dockerfileInstructions: 1000,
  /** Characters that the variables in one word of a Dockerfile expand to. */
  dockerfileWord: 64 * KiB,
  /** Members of one tar archive that are indexed. */
  archiveMembers: 100_000,
  /** Names of all members of one tar archive, and of what its links lead to, together. */
  archiveNamesBytes: 16 * MiB,
  /** A header of a tar archive that extends another: pax records or a long name (Go's archive/tar takes as much). */
  archiveHeaderBytes: 1 * MiB,
  /** A JSON document that is not a manifest: token answers, referrers, tag lists, KBS answers. */
  jsonBytes: 4 * MiB,
  /** Nesting of a JSON document; what serde_json, which the guest reads with, takes. */
  jsonDepth: 127,
  /** An error body that is read to quote it. */
  errorBodyBytes: 8 * KiB,
  /** Policy file. */
  policyBytes: 4 * MiB,
  /** A registries.conf. */
  registriesConfBytes: 1 * MiB,
  /** A file of a registries.d. */
  registriesDBytes: 1 * MiB,
  /** A file of certificates of authorities; a system's whole store has some 250 KiB. */
  certificatesBytes: 4 * MiB,
  /** Key file, public or private. */
  keyBytes: 64 * KiB,
  /** A file of OpenPGP public keys, with what others have certified of them. */
  keyringBytes: 1 * MiB,
  /** Packets in one OpenPGP file or message. */
  openPgpPackets: 10_000,
  /** What the program gpg says of its work, to us or to people. */
  gpgTalkBytes: 64 * KiB,
  /** Iterations of PBKDF2 that open one key file; some ten seconds. */
  pbkdf2Iterations: 10_000_000,
  /** Memory that scrypt may take to open one key file; cosign's own keys take 64 MiB, or 128 at most. */
  scryptBytes: 128 * MiB,
  /** The factor by which scrypt may take longer than that memory does. */
  scryptParallelism: 16,
  /** A file with a password in its first line. */
  passwordFileBytes: 64 * KiB,
  /** Init data, unpacked. */
  initdataBytes: 4 * MiB,
  /** A kubeconfig; those of many clusters have some 100 KiB. */
  kubeconfigBytes: 4 * MiB,
  /** A Kubernetes manifest file. */
  workloadBytes: 16 * MiB,
  /** Aliases that a YAML file may expand to (against the "billion laughs"). */
  yamlAliases: 100,
  /** A resource in the KBS, both ways (Trustee: payload_request_size, 2 MiB). */
  resourceBytes: 2 * MiB,
  /** Characters of a resource path: it is a file name in LocalFs, where `/` takes four. */
  resourcePathLength: 200,
  /** Sessions of a KBS that are open at a time. */
  kbsSessions: 10_000,
  /** A bearer token or cookie. */
  tokenBytes: 64 * KiB,
  /** Redirects that are followed for one request. */
  redirects: 5,
  /** Time to connect, TLS included. */
  connectMs: 10 * SECOND,
  /** Time without one byte in either direction. */
  idleMs: 30 * SECOND,
  /** The least rate at which a registry is expected to store a blob once it has it: 4 GiB in some 17 minutes. */
  storeBytesPerSecond: 4 * MiB,
  /** Time for a whole small request (all but blobs). */
  requestMs: 60 * SECOND,
  /** Time that a Docker daemon may be silent, while it packs or stores an image. */
  daemonMs: 600 * SECOND,
  /** Time that a server of ours gives running requests when it stops. */
  drainMs: 5 * SECOND,
  /** Header lines of one request to a server of ours; an attestation token of `tokenBytes` must fit in. */
  serverHeaderBytes: 128 * KiB,
  /** Time that a client may take to send the header lines of a request. */
  serverHeaderMs: 10 * SECOND,
  /** Time that a client may take to send a whole request; a large blob may come slowly. */
  serverRequestMs: 3600 * SECOND,
  /** Connections that a server of ours holds at once. */
  serverConnections: 1024,
  /** Unfinished uploads that the registry keeps; a new one takes the place of the longest untouched. */
  registryUploads: 256,
  /** Blobs of which the registry remembers a repository to mount them from. */
  registryBlobHomes: 10_000,
  /** Signatures beside one manifest, together: as JSON, they are less than the 4 MiB that clients read. */
  registrySignaturesBytes: 2 * MiB,
  /** Tags that one push of a manifest may set. */
  registryPushTags: 100,
  /** Passwords that wait to be checked by the registry at once. */
  registryLogins: 64,
  /** Time for which the registry knows a password again. */
  registryLoginMs: 300 * SECOND,
  /** A file of users and the hashes of their passwords. */
  htpasswdBytes: 1 * MiB,
  /** Entries in one page of tags or referrers that the registry answers. */
  registryPage: 1000,
} as const
