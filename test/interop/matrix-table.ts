import { FORMATS, type Format, KEY_KINDS, type KeyKind, type MatrixProgram } from './matrix.ts'

/** Names of what was tried, with how often it went well; what is not in here failed. */
export class Measured {
  readonly #passed = new Map<string, number>()

  add(cell: string): void {
    this.#passed.set(cell, this.times(cell) + 1)
  }

  times(cell: string): number {
    return this.#passed.get(cell) ?? 0
  }
}

/** Names the cell in which one program verifies what another signed. */
export function verifyCell(format: Format, signer: MatrixProgram, verifier: MatrixProgram): string {
  return `${format} of ${signer.name} by ${verifier.name}`
}

/** Names the cell in which one program signs with the key of another. */
export function keyCell(format: Format, maker: MatrixProgram, signer: MatrixProgram): string {
  return `key of ${maker.name} in ${signer.name}: ${format}`
}

const NOTE_MARKS = ['¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹']

/**
 * What was measured, as Markdown: who verifies whose signatures, who signs with whose key, and the reason where there is
 * neither.
 * @param places how many images each cell is made of.
 */
export function matrixTable(programs: readonly MatrixProgram[], measured: Measured, places: number): string {
  const notes: string[] = []
  const note = (text: string): string => {
    if (!notes.includes(text)) notes.push(text)
    return NOTE_MARKS[notes.indexOf(text)] ?? ` (${text})`
  }
  const signatures = FORMATS.flatMap((format) =>
    programs.map((signer) => {
      const signs = signer.signs[format]
      if ('cannot' in signs) return [format, signer.label + note(signs.cannot), ...programs.map(() => '–')]
      const cells = programs.map((verifier) => {
        const verifies = verifier.verifies[format]
        if ('cannot' in verifies) return `no${note(verifies.cannot)}`
        if (measured.times(verifyCell(format, signer, verifier)) !== places) return 'FAILED'
        return verifies.by === undefined ? 'yes' : `yes${note(verifies.by)}`
      })
      return [format, signer.label, ...cells]
    }),
  )
  const labels = programs.map(({ label }) => label)
  const tables = [
    table(['Format', 'Signed by ↓ verified by →', ...labels], signatures),
    table(['Key made by ↓ signs in →', ...labels], keyRows(programs, measured)),
  ]
  const legend = notes.map((text, i) => `- ${NOTE_MARKS[i]} ${text}.`).join('\n')
  return `${tables.join('\n\n')}\n\n${legend}\n`
}

const KIND_LABELS = { sigstore: 'cosign key', openpgp: 'OpenPGP key' } as const

function keyRows(programs: readonly MatrixProgram[], measured: Measured): readonly (readonly string[])[] {
  const kinds: readonly KeyKind[] = ['sigstore', 'openpgp']
  return kinds.flatMap((kind) =>
    programs
      .filter(({ makes }) => makes[kind] !== undefined)
      .map((maker) => [
        `${maker.label}, ${KIND_LABELS[kind]}`,
        ...programs.map((signer) => formatsSigned(maker, signer, kind, measured)),
      ]),
  )
}

/** The formats in which the program signs with the key. */
function formatsSigned(
  maker: MatrixProgram,
  signer: MatrixProgram,
  kind: KeyKind,
  measured: Measured,
): string {
  const formats = FORMATS.filter((format) => KEY_KINDS[format] === kind && 'does' in signer.signs[format])
  if (formats.length === 0) return '–'
  const cells = formats.map((format) =>
    measured.times(keyCell(format, maker, signer)) === 1 ? format : `${format} FAILED`,
  )
  return cells.join(', ')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
