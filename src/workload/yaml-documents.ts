import { type Document, isScalar, type ParsedNode, parseAllDocuments, visit, type YAMLMap } from 'yaml'
import { CosignetError, LIMITS, positionAt, reasonOf } from '../core/index.ts'

/** One document of a YAML stream: its nodes, with their places in the text, and its value. */
export interface YamlDocument {
  readonly nodes: Document<ParsedNode>
  /** Mappings as `Map`, aliases and merge keys (`<<`) followed. */
  readonly value: unknown
}

/**
 * Parses a stream of YAML documents (1.2, core schema; JSON is one of them).
 * @param what names the file in messages, for example "The file pod.yaml".
 * @throws INVALID_YAML with line and column, and for aliases that would grow; INVALID_POD for a key given twice, of
 * which Kubernetes would take one; TOO_LARGE
 */
export function parseYamlDocuments(text: string, what: string): readonly YamlDocument[] {
  if (Buffer.byteLength(text) > LIMITS.workloadBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.workloadBytes} bytes.`)
  }
  return parseStream(text, what).map((nodes) => ({ nodes, value: readValue(nodes, what) }))
}

function parseStream(text: string, what: string): readonly Document<ParsedNode>[] {
  try {
    const documents = [...parseAllDocuments(text, OPTIONS)]
    for (const document of documents) checkDocument(document, text, what)
    return documents
  } catch (error) {
    if (error instanceof CosignetError) throw error
    // The parser calls itself for each level of nesting and runs out of stack on hostile input.
    throw new CosignetError('INVALID_YAML', `${what} is not YAML: ${reasonOf(error)}.`, { cause: error })
  }
}

const OPTIONS = {
  schema: 'core',
  merge: true,
  prettyErrors: false,
  logLevel: 'silent',
  // The parser would compare each key with all before it: minutes for a mapping of 100,000.
  uniqueKeys: false,
} as const

function checkDocument(document: Document<ParsedNode>, text: string, what: string): void {
  const [error] = document.errors
  if (error !== undefined) {
    const place = placeOf(text, error.pos[0])
    throw new CosignetError('INVALID_YAML', `${what} is not YAML: ${place}: ${reasonOf(error)}.`)
  }
  visit(document, {
    Map: (_, map) => {
      const offset = repeatedKey(map as YAMLMap.Parsed)
      if (offset === undefined) return
      const place = placeOf(text, offset)
      throw new CosignetError('INVALID_POD', `${what} has a key twice in one mapping: ${place}.`)
    },
  })
}

/** Where a key stands that stood in the mapping before. */
function repeatedKey(map: YAMLMap.Parsed): number | undefined {
  const seen = new Set<unknown>()
  for (const { key } of map.items) {
    if (!isScalar(key)) continue
    if (seen.has(key.value)) return (key as ParsedNode).range[0]
    seen.add(key.value)
  }
  return undefined
}

function placeOf(text: string, offset: number): string {
  const { line, column } = positionAt(text, offset)
  return `line ${line}, column ${column}`
}

function readValue(document: Document<ParsedNode>, what: string): unknown {
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount: LIMITS.yamlAliases })
  } catch (error) {
    throw new CosignetError(
      'INVALID_YAML',
      `${what} has aliases that cannot be followed: ${reasonOf(error)}.`,
      {
        cause: error,
        hint: `A file may use an anchor ${LIMITS.yamlAliases} times.`,
      },
    )
  }
}
