import { CosignetError, type JsonNode, quote } from '../core/index.ts'

/** The Rust type that the guest reads a JSON value into. */
export type Shape =
  | { readonly kind: 'string' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'integer'; readonly min: bigint; readonly max: bigint }
  | { readonly kind: 'list'; readonly items: Shape }
  | { readonly kind: 'map'; readonly values: Shape }
  | {
      readonly kind: 'struct'
      readonly required: Readonly<Record<string, Shape>>
      /** May be absent or null. */
      readonly optional: Readonly<Record<string, Shape>>
    }

/**
 * Says why the guest's reader (serde_json, derived structs) refuses a document: a field that is missing, given twice or
 * of another type. Unknown fields are passed over; of two map keys the last counts.
 * @param place names the document in the answer, for example "the configuration".
 * @returns the end of a sentence, or undefined where it is read.
 * @throws UNSUPPORTED for a list in place of an object, whose items serde may take as fields.
 */
export function shapeFault(node: JsonNode, shape: Shape, place: string): string | undefined {
  switch (shape.kind) {
    case 'string':
    case 'boolean':
      return node.kind === shape.kind ? undefined : `${place} is not a ${shape.kind}`
    case 'integer':
      return isInteger(node, shape) ? undefined : `${place} is not a whole number in range`
    case 'list':
      if (node.kind !== 'array') return `${place} is not a list`
      return firstFault(node.items, (item, i) => shapeFault(item, shape.items, `${place}[${i}]`))
    case 'map':
      if (node.kind !== 'object') return `${place} is not an object`
      return firstFault(node.members, ({ key, value }) =>
        shapeFault(value, shape.values, `${place}[${quote(key)}]`),
      )
    case 'struct':
      return structFault(node, shape, place)
  }
}

/** A member of an object that has it once; the last one of several. */
export function memberOf(node: JsonNode | undefined, key: string): JsonNode | undefined {
  return node?.kind === 'object' ? node.members.findLast((member) => member.key === key)?.value : undefined
}

export const STRING: Shape = { kind: 'string' }
export const BOOLEAN: Shape = { kind: 'boolean' }
export const STRINGS: Shape = { kind: 'list', items: STRING }
export const STRING_MAP: Shape = { kind: 'map', values: STRING }

function structFault(
  node: JsonNode,
  { required, optional }: Shape & { kind: 'struct' },
  place: string,
): string | undefined {
  if (node.kind === 'array') {
    throw new CosignetError(
      'UNSUPPORTED',
      `What the guest makes of ${place} is open: it is a list, whose items the guest may read as fields.`,
    )
  }
  if (node.kind !== 'object') return `${place} is not an object`
  const fields = { ...required, ...optional }
  return firstFault(Object.entries(fields), ([name, shape]) => {
    const found = node.members.filter(({ key }) => key === name)
    if (found.length > 1) return `${place}.${name} is given twice`
    const value = found[0]?.value
    if (Object.hasOwn(optional, name) && (value === undefined || value.kind === 'null')) return undefined
    if (value === undefined) return `${place}.${name} is missing`
    return shapeFault(value, shape, `${place}.${name}`)
  })
}

function isInteger(node: JsonNode, { min, max }: Shape & { kind: 'integer' }): boolean {
  // "-0" is a float to serde_json.
  if (node.kind !== 'number' || node.text === '-0' || !/^-?[0-9]{1,20}$/.test(node.text)) return false
  const value = BigInt(node.text)
  return value >= min && value <= max
}

function firstFault<T>(
  items: readonly T[],
  check: (item: T, i: number) => string | undefined,
): string | undefined {
  for (const [i, item] of items.entries()) {
    const fault = check(item, i)
    if (fault !== undefined) return fault
  }
  return undefined
}
