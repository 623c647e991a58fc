import { formatReference, type Reference, repositoryName } from '../oci/index.ts'
import type { Policy, Requirement } from './policy.ts'

/** Which part of a policy applies to an image. */
export interface ScopeMatch {
  /** The scope as the policy names it; undefined: the policy's `default`. */
  readonly scope: string | undefined
  readonly requirements: readonly Requirement[]
}

/**
 * Finds the requirements for an image: its full name, its repository and parents up to the host, host wildcards, the
 * transport's default, the policy's default; the first hit alone counts (image-rs `Policy::requirements_for_image`).
 */
export function findScope(policy: Policy, reference: Reference): ScopeMatch {
  const scopes = policy.transports.get('docker')
  for (const scope of scopes === undefined ? [] : scopesOf(reference)) {
    const requirements = scopes?.get(scope)
    if (requirements !== undefined) return { scope, requirements }
  }
  return { scope: undefined, requirements: policy.default }
}

/**
 * Every scope that can match an image, the most specific first (image-rs `get_image_namespaces`). The port is
 * stripped before the wildcards: `a.example.com:8443` gives `*.example.com` and `*.com`.
 */
export function scopesOf(reference: Reference): readonly string[] {
  const repository = repositoryName(reference)
  const parts = repository.split('/')
  const parents = parts.map((_, i) => parts.slice(0, parts.length - i).join('/'))
  const labels = reference.registry.replace(/:[0-9]+$/, '').split('.')
  const wildcards = labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join('.')}`)
  return [formatReference(reference), ...parents, ...wildcards, '']
}
