import type { Digest } from '../oci/index.ts'
import type { SignatureFact } from '../policy/index.ts'
import { type Attached, attachedName } from '../transfer/index.ts'
import { visible } from './visible-text.ts'

/** A manifest of an image with what hangs at it. */
export interface SignedManifest {
  readonly digest: Digest
  /** What it is: `index`, `linux/amd64`, or undefined for a single image. */
  readonly role?: string
  readonly signatures: readonly SignatureFact[]
  /** All else that refers to it. */
  readonly others: readonly Attached[]
}

/** Draws what refers to an image: the index or image first, then its platforms. */
export function drawTree(name: string, [root, ...platforms]: readonly SignedManifest[]): readonly string[] {
  if (root === undefined) return []
  const branches = [...branchesOf(root, root.others), ...platforms.map(drawPlatform)]
  return [
    `${visible(name)}`,
    `${root.digest}${root.role === undefined ? '' : `  ${root.role}`}`,
    ...join(branches),
  ]
}

/** Lines of a branch: itself, then what is below it. */
type Branch = readonly string[]

function drawPlatform(manifest: SignedManifest): Branch {
  const own = branchesOf(manifest, manifest.others)
  const none = own.length === 0 ? [['(nothing refers to it)']] : own
  return [`${visible(manifest.role ?? 'image')}  ${manifest.digest}`, ...join(none)]
}

function branchesOf({ digest, signatures }: SignedManifest, others: readonly Attached[]): readonly Branch[] {
  return [...signatures.map((fact) => [describeSignature(fact)]), ...attachedTo(digest, others)]
}

function attachedTo(subject: Digest, others: readonly Attached[]): readonly Branch[] {
  return others
    .filter((one) => one.subject === subject)
    .map((one) => {
      const { digest, tag } = attachedName(one)
      const { content } = one.manifest
      const type = 'artifactType' in content ? content.artifactType : undefined
      return [
        `${kindOfTag(tag) ?? visible(type ?? 'referrer')}  ${tag ?? digest}`,
        ...join(attachedTo(digest, others)),
      ]
    })
}

function kindOfTag(tag: string | undefined): string | undefined {
  if (tag?.endsWith('.att') === true) return 'attestations'
  return tag?.endsWith('.sbom') === true ? 'SBOM' : undefined
}

const KINDS = { cosign: 'cosign signature', bundle: 'sigstore bundle', simple: 'OpenPGP signature' } as const

function describeSignature(signature: SignatureFact): string {
  const { kind, location, apart, claims, madeBy, fault, foreignLayer } = signature
  const what = foreignLayer === true ? 'foreign layer among cosign signatures' : KINDS[kind]
  const says = claims === undefined ? '' : `  says ${visible(claims)}`
  const where = apart === undefined ? '' : `  in ${apart}`
  return `${what}  ${visible(location)}${where}${says}${outcome(madeBy, fault)}`
}

function outcome(madeBy: SignatureFact['madeBy'], fault: string | undefined): string {
  if (fault !== undefined) return `  (does not count: ${visible(fault)})`
  if (madeBy === undefined) return ''
  return madeBy === 'none' ? '  (not made by the key)' : `  (made by ${visible(madeBy.name)})`
}

function join(branches: readonly Branch[]): readonly string[] {
  return branches.flatMap(([first = '', ...rest], i) => {
    const last = i === branches.length - 1
    return [`${last ? '└─' : '├─'} ${first}`, ...rest.map((line) => `${last ? '   ' : '│  '}${line}`)]
  })
}
