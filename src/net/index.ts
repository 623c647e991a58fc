/**
 * HTTP both ways: one bounded client for everything that goes out, one server kit for everything that listens. Every
 * exchange is limited in bytes and time, follows redirects without taking credentials along, and fails with one line
 * that names the server and what to do.
 */
export { isAddressHost, isPrivateHost } from './addresses.ts'
export { issueCertificates } from './certificates.ts'
export { HttpClient, type HttpClientOptions } from './http-client.ts'
export { isBrokenConnectionError, isPlainHttpError, isUnknownAuthorityError } from './http-errors.ts'
export type { HttpRequest, HttpResponse } from './http-message.ts'
export { isLoopbackHost } from './loopback.ts'
export { type RunningServer, type ServeOptions, type ServerApp, serve } from './server/serve.ts'
export { shownUrl } from './shown-url.ts'
