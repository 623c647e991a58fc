/**
 * What every room needs and no package gives: the one error class and its codes, the limits on everything read,
 * strict JSON, bytes, files written whole or not at all, and the clock. Nothing here knows of images or keys.
 */
export {
  chunksOf,
  collectBytes,
  constantTimeEqual,
  decodeBase64,
  decodeBase64Url,
  decodeUtf8,
  encodeBase64,
  encodeBase64Url,
  encodeUtf8,
} from './bytes.ts'
export { type Clock, systemClock } from './clock.ts'
export {
  CosignetError,
  type ErrorCode,
  exitStatusOf,
  isCosignetError,
  quote,
  reasonOf,
} from './errors.ts'
export {
  errnoOf,
  fileError,
  makeFolder,
  readFileBounded,
  syncDirectory,
  type WriteFileOptions,
  writeFileAtomically,
} from './files.ts'
export {
  canonicalJson,
  encodeGoString,
  type JsonMember,
  type JsonNode,
  type JsonValue,
  parseJson,
  parseJsonTree,
  positionAt,
} from './json.ts'
export { LIMITS } from './limits.ts'
