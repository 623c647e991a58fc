/**
 * Says what is wrong with a URI from which the guest shall fetch a document (image-rs, `resource/mod.rs`; guest-components,
 * `resource_uri`): `kbs:///repository/type/tag`, or `file:///path` in its root file system.
 * @returns the end of a sentence that begins with the URI, or undefined.
 */
export function resourceUriFault(uri: string): string | undefined {
  // A name without a scheme is a file to the guest.
  if (uri.startsWith('/') || /^file:\/\/\/[^?#\s]+$/.test(uri)) return undefined
  if (/^kbs\+[a-z0-9]+:\/\/[^/\s]*\/\S+$/.test(uri)) return undefined
  if (!/^kbs:\/\//.test(uri)) return 'is neither a kbs:/// nor a file:/// URI'
  if (!/^kbs:\/\/[^/\s]*\//.test(uri)) return 'has no path; the form is kbs:///repository/type/tag'
  const segments = uri.replace(/^kbs:\/\/[^/]*\//, '').split('/')
  if (segments.length !== 3) {
    return `has ${segments.length} path segments, not three; the form is kbs:///repository/type/tag`
  }
  if (!segments.every((segment) => SEGMENT.test(segment))) {
    return 'has a segment that a KBS does not store; letters, digits, "-", "_" and "." make one'
  }
  return undefined
}

/** What Trustee takes as a segment: no empty one, none that begins with a dot. */
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/
