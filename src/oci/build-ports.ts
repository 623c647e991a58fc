const PORT = /^(?:[^:]*:)*([0-9]{1,5})(?:-([0-9]{1,5}))?(?:\/([a-z]*))?$/i
const PROTOCOLS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp'])

/**
 * Reads a port or a range as EXPOSE has it: `80`, `80/udp`, `8000-8002/tcp`. An address and a port of the host in front
 * of it, as `docker run -p` has them, say nothing about the image.
 * @returns each port as `80/tcp`; undefined if it is none.
 */
export function parsePorts(text: string): readonly string[] | undefined {
  const [, first = '', last = first, protocol = ''] = PORT.exec(text) ?? []
  const from = Number(first)
  const to = Number(last)
  const name = protocol === '' ? 'tcp' : protocol.toLowerCase()
  if (first === '' || from > to || to > 65_535 || !PROTOCOLS.has(name)) return undefined
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}/${name}`)
}
