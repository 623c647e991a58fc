import { isDeepStrictEqual } from 'node:util'
import { isMap, isScalar, isSeq, type Pair, type ParsedNode, type Scalar, type YAMLMap } from 'yaml'
import { CosignetError, quote } from '../core/index.ts'
import { parseWorkloads, type Workload } from './workloads.ts'
import { parseYamlDocuments } from './yaml-documents.ts'

/**
 * Sets one annotation of a Pod or Pod template in a manifest. Every other line stays as it is, byte for byte: the text
 * is spliced, not written anew, and then read again to prove that nothing else means something else now.
 * @param value any text; it is written on one line, in double quotes.
 * @param options.workload `metadata.name` of the workload to change; needed where the file has more than one.
 * @throws INVALID_YAML; TOO_LARGE; INVALID_POD, also where the place cannot be edited alone, because an anchor or alias
 * shares it
 */
export function setPodAnnotation(
  text: string,
  key: string,
  value: string,
  options: { readonly workload?: string } = {},
): string {
  checkAnnotation(key, value)
  const documents = parseYamlDocuments(text, WHAT)
  const workload = choose(parseWorkloads(text, WHAT), options.workload)
  const root = documents[workload.document]?.nodes.contents
  const edit = findEdit(text, metadataOf(root, workload), key, value)
  if (edit === undefined) throw shared(workload)
  const edited = text.slice(0, edit.start) + edit.text + text.slice(edit.end)

  const path = [workload.document, ...workload.podPath, 'metadata', 'annotations', key]
  const expected = setIn(
    documents.map((document) => document.value),
    path,
    value,
  )
  if (!isDeepStrictEqual(valuesOf(edited), expected)) throw shared(workload)
  return edited
}

const WHAT = 'The manifest'

/** Kubernetes' form of an annotation key: an optional DNS name and a slash, then a name of at most 63 characters. */
const KEY = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/

function checkAnnotation(key: string, value: string): void {
  if (!KEY.test(key)) {
    throw new CosignetError(
      'INVALID_POD',
      `${quote(key)} is not a key that Kubernetes accepts for an annotation.`,
    )
  }
  if (!value.isWellFormed()) {
    throw new CosignetError('INVALID_POD', `The value of the annotation ${quote(key)} is not valid Unicode.`)
  }
}

function choose(workloads: readonly Workload[], name: string | undefined): Workload {
  const found = name === undefined ? workloads : workloads.filter((workload) => workload.name === name)
  const [workload, ...others] = found
  if (workload !== undefined && others.length === 0) return workload
  const list = workloads.map(({ kind, name: each }) => `${kind} ${quote(each)}`).join(', ')
  const reason =
    name === undefined
      ? `has ${workloads.length} workloads; name one of them`
      : `has ${found.length === 0 ? 'no' : 'more than one'} workload ${quote(name)}`
  throw new CosignetError('INVALID_POD', `${WHAT} ${reason}: ${list}.`)
}

type MapPair = Pair<ParsedNode, ParsedNode | null>

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Walks to `metadata` of the Pod; does not follow aliases, since an edit behind one would change other places too. */
function metadataOf(root: ParsedNode | null | undefined, workload: Workload): MapPair {
  let node: unknown = root
  for (const step of workload.podPath) {
    if (isSeq(node) && typeof step === 'number') node = node.items[step]
    else node = isMap(node) ? pairOf(node as YAMLMap.Parsed, String(step))?.value : undefined
  }
  const pair = isMap(node) ? pairOf(node as YAMLMap.Parsed, 'metadata') : undefined
  if (pair === undefined || !isMap(pair.value)) {
    const name = `${workload.kind} ${quote(workload.name)}`
    throw new CosignetError(
      'INVALID_POD',
      `${WHAT} has no "metadata" of its own for the Pod of the ${name}; an annotation needs one.`,
      { hint: 'Write out its metadata, with labels or an empty mapping, and not as an alias.' },
    )
  }
  return pair
}

function pairOf(map: YAMLMap.Parsed, key: string): MapPair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key) as MapPair | undefined
}

/** Undefined where the annotations are an alias, so not of this Pod alone. */
function findEdit(text: string, metadata: MapPair, key: string, value: string): Edit | undefined {
  const entry = `${blockKey(key)}: ${quoted(value)}`
  const flowEntry = `${quoted(key)}: ${quoted(value)}`
  const annotations = isMap(metadata.value)
    ? pairOf(metadata.value as YAMLMap.Parsed, 'annotations')
    : undefined
  if (annotations === undefined) {
    return insertFirst(text, metadata, ['annotations:', `  ${entry}`], `"annotations": {${flowEntry}}`)
  }
  const { value: node } = annotations
  if (isScalar(node) && node.value === null) {
    const [start, end] = (node as Scalar.Parsed).range
    if (start < end) return { start, end, text: `{${flowEntry}}` }
    const colon = text.indexOf(':', annotations.key.range[1])
    return { start: colon + 1, end: colon + 1, text: ` {${flowEntry}}` }
  }
  if (!isMap(node)) return undefined
  const existing = pairOf(node as YAMLMap.Parsed, key)?.value
  if (existing === undefined || existing === null) return insertFirst(text, annotations, [entry], flowEntry)
  const [start, end] = existing.range
  // The range of a block scalar runs to the end of its last line; the line ends are not part of the value here.
  const old = text.slice(start, end)
  return { start, end: start + old.trimEnd().length, text: quoted(value) }
}

/** Puts an entry first in a mapping, right below its key, where no comment can be torn from what it speaks of. */
function insertFirst(text: string, parent: MapPair, block: readonly string[], flow: string): Edit {
  const map = parent.value as YAMLMap.Parsed
  if (map.flow === true) {
    const start = map.range[0] + 1
    const comma = map.items.length === 0 ? '' : /\s/.test(text.charAt(start)) ? ',' : ', '
    return { start, end: start, text: flow + comma }
  }
  const start = text.indexOf('\n', parent.key.range[1]) + 1
  const first = map.items[0]?.key.range[0] ?? start
  const indentation = text.slice(text.lastIndexOf('\n', first - 1) + 1, first)
  const lineEnd = text[start - 2] === '\r' ? '\r\n' : '\n'
  return { start, end: start, text: block.map((line) => indentation + line + lineEnd).join('') }
}

/** A double-quoted scalar on one line, which is JSON as well. */
function quoted(value: string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Plain where no YAML reader takes it for a number, a date or a truth value. */
function blockKey(key: string): string {
  return /^[A-Za-z]/.test(key) && /[./-]/.test(key) ? key : quoted(key)
}

/** The values of the edited text, or undefined if it no longer parses. */
function valuesOf(text: string): unknown {
  try {
    return parseYamlDocuments(text, WHAT).map((document) => document.value)
  } catch {
    return undefined
  }
}

function setIn(target: unknown, path: readonly (string | number)[], value: string): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (Array.isArray(target)) return target.map((item, i) => (i === step ? setIn(item, rest, value) : item))
  const map = target instanceof Map ? target : new Map<unknown, unknown>()
  return new Map([...map, [step, setIn(map.get(step), rest, value)]])
}

function shared(workload: Workload): CosignetError {
  return new CosignetError(
    'INVALID_POD',
    `${WHAT} cannot be edited in place: the metadata of the ${workload.kind} ${quote(workload.name)} is shared ` +
      'through an anchor, an alias or a merge key, or written in a form that is not supported.',
    { hint: 'Write the annotations of this Pod out, each on its own line.' },
  )
}
