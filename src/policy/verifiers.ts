import type { KeyAlgorithm } from '../keys/index.ts'
import type { SignatureKind } from './seen-signature.ts'

/** A rule, and where it was read. */
export interface Sourced<T> {
  readonly is: T
  readonly source: string
}

/**
 * What a verifier makes of a format: read (where it is set up so, if there is something to set up), not read, or if there
 * is any then nothing else is read.
 */
export type Reading = 'read' | { readonly readWith: string } | 'hides-the-rest' | { readonly notRead: string }

/** Which manifests must be signed where the name of an image leads to an index of several platforms. */
export type SignedManifests =
  | 'index'
  | 'every platform'
  /** No signature is ever found for an image that is pulled through its index. */
  | 'none will do'

/** What decides whether a verifier that holds the right public key accepts an image that is signed. */
export interface Verifier {
  readonly name: string
  readonly reads: Readonly<Record<SignatureKind, Sourced<Reading>>>
  readonly ofIndex: Sourced<SignedManifests>
  /** Kinds of keys, and the hash under their signatures: the one that goes with the key, or always SHA-256. */
  readonly keys: Sourced<{ readonly algorithms: readonly KeyAlgorithm[]; readonly hash: 'key' | 'sha256' }>
  /** Under `matchRepository`: whether every signature of the image must name its repository, one, or none. */
  readonly names: Sourced<'every' | 'one' | 'not-compared'>
  /**
   * How it is told that signatures are in another repository than the image; then it looks at none beside the image.
   * Undefined where it always looks beside the image.
   */
  readonly elsewhere: Sourced<string | undefined>
  /** A layer of another kind among cosign's signatures: spoils all of them, or is passed over. */
  readonly foreignLayers: Sourced<'refuse-all' | 'pass-over'>
  /** One of cosign's signatures whose payload cannot be had: spoils all of them, or is passed over. */
  readonly lostPayloads: Sourced<'refuse-all' | 'pass-over'>
}

const SEEN_BY_COSIGN: readonly KeyAlgorithm[] = ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521', 'rsa', 'ed25519']

const COSIGN_POLICY = 'image-rs, signature/policy/cosign/mod.rs'
const SIMPLE_POLICY = 'image-rs, signature/policy/simple/sigstore.rs'
const SIGSTORE_RS = 'sigstore-rs 0.13.0, cosign/client.rs'

const GUEST: Omit<Verifier, 'name'> = {
  reads: {
    cosign: { is: 'read', source: COSIGN_POLICY },
    bundle: { is: { notRead: 'it does not read the bundles of cosign 3' }, source: SIGSTORE_RS },
    simple: {
      is: { notRead: 'it reads OpenPGP signatures only from a folder within the guest' },
      source: SIMPLE_POLICY,
    },
  },
  ofIndex: { is: 'index', source: `${COSIGN_POLICY}, since guest-components de3f6ff` },
  keys: {
    is: { algorithms: ['ecdsa-p256', 'ecdsa-p384', 'rsa', 'ed25519'], hash: 'key' },
    source: 'sigstore-rs 0.13.0, crypto/verification_key.rs, since guest-components fdcc6cd',
  },
  names: { is: 'every', source: COSIGN_POLICY },
  elsewhere: { is: undefined, source: `${SIGSTORE_RS}, triangulate` },
  foreignLayers: { is: 'refuse-all', source: SIGSTORE_RS },
  lostPayloads: { is: 'refuse-all', source: `${SIGSTORE_RS}, fetch_manifest_and_layers` },
}

const COSIGN_LIBRARY: Omit<Verifier, 'name'> = {
  reads: {
    cosign: { is: 'read', source: 'cosign, pkg/cosign/verify.go' },
    bundle: {
      is: { notRead: 'it does not read the bundles of cosign 3' },
      source: 'policy-controller#1958',
    },
    simple: {
      is: { notRead: 'it does not read OpenPGP signatures' },
      source: 'cosign, pkg/cosign/verify.go',
    },
  },
  ofIndex: { is: 'index', source: 'cosign, pkg/cosign/verify.go, VerifyImageSignatures' },
  keys: {
    is: { algorithms: SEEN_BY_COSIGN, hash: 'sha256' },
    source: 'cosign, pkg/signature/keys.go, LoadPublicKey with SHA-256',
  },
  names: { is: 'not-compared', source: 'cosign, pkg/cosign/verify.go, SimpleClaimVerifier' },
  elsewhere: { is: 'COSIGN_REPOSITORY', source: 'cosign, pkg/oci/remote/options.go' },
  foreignLayers: { is: 'pass-over', source: 'cosign, pkg/oci/remote/signatures.go' },
  lostPayloads: { is: 'pass-over', source: 'cosign, pkg/cosign/verify.go, verifySignatures' },
}

/**
 * Every verifier that users ask about, in the order in which they are shown. Guests are named by the release of
 * guest-components; a release that is not listed decides as the one before it.
 */
export const VERIFIERS: readonly Verifier[] = [
  {
    ...GUEST,
    name: 'CoCo guest v0.18',
    ofIndex: {
      is: 'none will do',
      source: `${COSIGN_POLICY} at v0.18.0: the payload must name the platform`,
    },
    keys: { is: { algorithms: ['ecdsa-p256'], hash: 'key' }, source: `${COSIGN_POLICY} at v0.18.0` },
  },
  { ...GUEST, name: 'CoCo guest v0.19' },
  { ...GUEST, name: 'CoCo guest v0.20' },
  { ...GUEST, name: 'CoCo guest v0.21' },
  {
    name: 'podman, CRI-O, skopeo',
    reads: {
      cosign: {
        is: { readWith: 'use-sigstore-attachments: true in registries.d' },
        source: 'containers/image, docker/docker_image_src.go',
      },
      bundle: {
        is: { notRead: 'it does not read the bundles of cosign 3' },
        source: 'containers/image, docker/docker_image_src.go; container-libs#388',
      },
      simple: { is: 'read', source: 'containers/image, docker/docker_image_src.go' },
    },
    ofIndex: { is: 'every platform', source: 'containers/image, copy/single.go, copySingleImage' },
    keys: {
      is: { algorithms: SEEN_BY_COSIGN, hash: 'sha256' },
      source: 'containers/image, signature/internal/sigstore_payload.go',
    },
    names: { is: 'one', source: 'containers/image, signature/policy_eval_sigstore.go' },
    elsewhere: { is: undefined, source: 'containers/image, docker/docker_image_src.go' },
    foreignLayers: { is: 'pass-over', source: 'containers/image, signature/policy_eval_sigstore.go' },
    lostPayloads: {
      is: 'refuse-all',
      source: 'containers/image, docker/docker_image_src.go, appendSignaturesFromSigstoreAttachments',
    },
  },
  {
    ...COSIGN_LIBRARY,
    name: 'cosign v2',
    reads: {
      ...COSIGN_LIBRARY.reads,
      bundle: {
        is: { notRead: 'it does not look for bundles unless told so (--new-bundle-format, from 2.5)' },
        source: 'cosign 2.5.0, cmd/cosign/cli/verify/verify.go',
      },
    },
  },
  {
    ...COSIGN_LIBRARY,
    name: 'cosign v3',
    reads: {
      ...COSIGN_LIBRARY.reads,
      bundle: { is: 'hides-the-rest', source: 'cosign 3.1.2, cmd/cosign/cli/verify/verify.go' },
    },
  },
  {
    ...COSIGN_LIBRARY,
    name: 'Kyverno (verifyImages)',
    reads: {
      ...COSIGN_LIBRARY.reads,
      bundle: {
        is: {
          notRead: 'its ClusterPolicy takes no static key for bundles; an ImageValidatingPolicy of 1.19 does',
        },
        source: 'kyverno#16267',
      },
    },
    elsewhere: {
      is: 'repository in its rule',
      source: 'kyverno, api/kyverno/v1/image_verification_types.go',
    },
  },
  {
    ...COSIGN_LIBRARY,
    name: 'policy-controller',
    elsewhere: {
      is: 'source in its authority',
      source: 'policy-controller, pkg/apis/policy/v1beta1/clusterimagepolicy_types.go',
    },
  },
]
