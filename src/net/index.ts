/**
 * HTTP both ways: one bounded client for everything that goes out, one server kit for everything that listens. Every
 * exchange is limited in bytes and time, follows redirects without taking credentials along, and fails with one line
 * that names the server and what to do.
 */
export type { HttpRequest, HttpRequestStream, HttpResponse } from './http-message.ts'
