/**
 * Makes text of somebody else safe to print within a line: what a terminal would obey, or show in another order, is
 * escaped as in JSON (control characters with line breaks, bidirectional and zero-width characters).
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, unicodeEscape)
}

/**
 * Writes a value as JSON that is safe to print: JSON itself escapes less than a terminal obeys.
 * @param indent spaces a level; default: all on one line.
 */
export function visibleJson(value: unknown, indent?: number): string {
  // A line break is one of the indentation here: those in strings are escaped.
  return JSON.stringify(value, undefined, indent).replace(/[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/gu, unicodeEscape)
}

function unicodeEscape(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i))
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
}
