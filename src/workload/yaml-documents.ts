import { type Document, type ParsedNode, parseAllDocuments } from 'yaml'
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
  return parseStream(text, what).map((nodes) => ({ nodes, value: readValue(nodes, text, what) }))
}

function parseStream(text: string, what: string): readonly Document<ParsedNode>[] {
  try {
    return [
      ...parseAllDocuments(text, { schema: 'core', merge: true, prettyErrors: false, logLevel: 'silent' }),
    ]
  } catch (error) {
    // The parser calls itself for each level of nesting and runs out of stack on hostile input.
    throw new CosignetError('INVALID_YAML', `${what} is not YAML: ${reasonOf(error)}.`, { cause: error })
  }
}

function readValue(nodes: Document<ParsedNode>, text: string, what: string): unknown {
  const [error] = nodes.errors
  if (error !== undefined) {
    const { line, column } = positionAt(text, error.pos[0])
    const place = `line ${line}, column ${column}`
    throw error.code === 'DUPLICATE_KEY'
      ? new CosignetError('INVALID_POD', `${what} has a key twice in one mapping: ${place}.`)
      : new CosignetError('INVALID_YAML', `${what} is not YAML: ${place}: ${reasonOf(error)}.`)
  }
  try {
    return nodes.toJS({ mapAsMap: true, maxAliasCount: LIMITS.yamlAliases })
  } catch (error) {
    throw new CosignetError(
      'INVALID_YAML',
      `${what} has aliases that cannot be followed: ${reasonOf(error)}.`,
      {
        cause: error,
        hint: `A file may use an anchor ${LIMITS.yamlAliases} times, and none may contain itself.`,
      },
    )
  }
}
