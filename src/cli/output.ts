import type { JsonValue } from '../core/index.ts'
import type { Outcome, OutputFormat } from './cli.ts'
import { visibleJson } from './visible-text.ts'

/** Writes a result for standard output in the chosen format. */
export function formatOutcome(outcome: Pick<Outcome, 'data' | 'text'>, format: OutputFormat): string {
  switch (format) {
    case 'text':
      return outcome.text === '' ? '' : `${outcome.text}\n`
    case 'json':
      return `${visibleJson(outcome.data, 2)}\n`
    case 'yaml':
      return `${formatYaml(outcome.data, '')}\n`
  }
}

/** YAML's flow scalars are JSON, so strings need no other quoting; this keeps the YAML library off the start. */
function formatYaml(value: JsonValue, indent: string): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return value
      .map((item: JsonValue) => `${indent}- ${formatYaml(item, `${indent}  `).trimStart()}`)
      .join('\n')
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value as { readonly [key: string]: JsonValue }).filter(
      ([, item]) => item !== undefined,
    )
    if (members.length === 0) return '{}'
    return members.map(([key, item]) => `${indent}${formatKey(key)}:${formatMember(item, indent)}`).join('\n')
  }
  return visibleJson(value)
}

function formatMember(item: JsonValue, indent: string): string {
  const nested = item !== null && typeof item === 'object' && Object.keys(item).length > 0
  return nested ? `\n${formatYaml(item, `${indent}  `)}` : ` ${formatYaml(item, '')}`
}

function formatKey(key: string): string {
  return /^[A-Za-z][A-Za-z0-9_-]*$/.test(key) && !/^(?:y|n|yes|no|on|off|true|false|null)$/i.test(key)
    ? key
    : visibleJson(key)
}
