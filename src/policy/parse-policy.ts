import { CosignetError, type JsonNode, LIMITS, parseJsonTree, quote } from '../core/index.ts'
import type { KeyFields, Policy, Requirement, Scopes, SignedIdentity } from './policy.ts'

/**
 * Parses a policy as the guest does (image-rs `signature/policy`, serde): `default` and `transports` are both
 * required, unknown fields are ignored, an unknown type anywhere makes the whole policy invalid, a known field given
 * twice too, and of two scopes with one name the last wins.
 * @param what names the policy in messages, for example "The policy kbs:///default/security-policy/test".
 * @throws INVALID_POLICY where the guest says "Invalid image policy file"; INVALID_JSON; TOO_LARGE; UNSUPPORTED where
 * the guest would read something that no policy author means (a list in place of an object, a number of a type).
 */
export function parsePolicy(bytes: Uint8Array, what: string): Policy {
  if (bytes.byteLength > LIMITS.policyBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.policyBytes} bytes.`)
  }
  return readPolicy(new StructReader(parseJsonTree(bytes, what), ROOT, what))
}

function readPolicy(policy: StructReader): Policy {
  return {
    default: policy.field('default').list().map(readRequirement),
    transports: policy
      .field('transports')
      .map((scopes): Scopes => scopes.map((list) => list.list().map(readRequirement))),
  }
}

function readRequirement(requirement: StructReader): Requirement {
  const type = requirement.field('type').string()
  switch (type) {
    case 'insecureAcceptAnything':
    case 'reject':
      return { type }
    case 'sigstoreSigned':
      return { type, ...readKeyFields(requirement), ...readSignedIdentity(requirement) }
    case 'signedBy': {
      const keyType = requirement.field('keyType').string()
      return { type, keyType, ...readKeyFields(requirement), ...readSignedIdentity(requirement) }
    }
    default:
      return requirement.fail(`the requirement type ${quote(type)} is unknown`)
  }
}

function readKeyFields(requirement: StructReader): KeyFields {
  const keyPath = requirement.optional('keyPath')?.string()
  const keyData = requirement.optional('keyData')?.string()
  return { ...(keyPath === undefined ? {} : { keyPath }), ...(keyData === undefined ? {} : { keyData }) }
}

function readSignedIdentity(requirement: StructReader): { signedIdentity?: SignedIdentity } {
  const identity = requirement.optional('signedIdentity')
  return identity === undefined ? {} : { signedIdentity: readIdentity(identity) }
}

function readIdentity(identity: StructReader): SignedIdentity {
  const type = identity.field('type').variant()
  switch (type) {
    case 'matchExact':
    case 'matchRepoDigestOrExact':
    case 'matchRepository':
      return { type }
    case 'exactReference':
      return { type, dockerReference: identity.field('dockerReference').string() }
    case 'exactRepository':
      return { type, dockerRepository: identity.field('dockerRepository').string() }
    case 'remapIdentity':
      return {
        type,
        prefix: identity.field('prefix').string(),
        signedPrefix: identity.field('signedPrefix').string(),
      }
    default:
      return identity.fail(`the signedIdentity type ${quote(type)} is unknown`)
  }
}

const ROOT = 'the root'

/** Reads a JSON tree as serde reads a struct; every failure names the policy and the place in it. */
class StructReader {
  readonly #node: JsonNode
  readonly #place: string
  readonly #what: string

  constructor(node: JsonNode, place: string, what: string) {
    this.#node = node
    this.#place = place
    this.#what = what
  }

  fail(reason: string): never {
    throw new CosignetError('INVALID_POLICY', `${this.#what} is not valid: in ${this.#place}, ${reason}.`)
  }

  field(name: string): StructReader {
    return this.#member(name) ?? this.fail(`the field ${quote(name)} is missing`)
  }

  /** A field that may be absent or null. */
  optional(name: string): StructReader | undefined {
    const member = this.#member(name)
    return member === undefined || member.#node.kind === 'null' ? undefined : member
  }

  string(): string {
    return this.#node.kind === 'string' ? this.#node.value : this.fail('a string is expected')
  }

  /** The name of a nested type; serde takes its index, too, where it has read the object into memory before. */
  variant(): string {
    if (this.#node.kind === 'number' && /^[0-9]+$/.test(this.#node.text)) {
      this.#unsupported(`a number in ${this.#place}, which the guest may read as the index of a type`)
    }
    return this.string()
  }

  list(): readonly StructReader[] {
    if (this.#node.kind !== 'array') return this.fail('a list is expected')
    return this.#node.items.map((item, i) => new StructReader(item, `${this.#place}[${i}]`, this.#what))
  }

  map<T>(read: (value: StructReader) => T): ReadonlyMap<string, T> {
    if (this.#node.kind !== 'object') return this.fail('an object is expected')
    const entries = this.#node.members.map(({ key, value }): [string, T] => {
      return [key, read(new StructReader(value, `${this.#place}[${quote(key)}]`, this.#what))]
    })
    return new Map(entries)
  }

  #member(name: string): StructReader | undefined {
    const found = this.#members().filter((member) => member.key === name)
    if (found.length > 1) this.fail(`the field ${quote(name)} is given twice`)
    const [member] = found
    return member === undefined
      ? undefined
      : new StructReader(member.value, `${this.#place === ROOT ? '' : `${this.#place}.`}${name}`, this.#what)
  }

  #members() {
    if (this.#node.kind === 'array') {
      this.#unsupported(
        `a list where ${this.#place} must be an object; the guest may read its items as fields`,
      )
    }
    return this.#node.kind === 'object' ? this.#node.members : this.fail('an object is expected')
  }

  #unsupported(what: string): never {
    throw new CosignetError('UNSUPPORTED', `${this.#what} has ${what}.`, {
      hint: 'Write it as containers-policy.json(5) has it.',
    })
  }
}
