/** Which part of the decision a step belongs to. */
export type StepName =
  | 'initdata'
  | 'config'
  | 'attest'
  | 'policy'
  | 'manifest'
  | 'scope'
  | 'requirement'
  | 'key'
  | 'signatures'
  | 'signature'
  | 'identity'
  | 'layer'
  | 'decision'

/** One step of a decision, in the order in which it was taken. */
export interface TraceStep {
  readonly step: StepName
  readonly outcome: 'ok' | 'failed' | 'skipped' | 'warning'
  /** One sentence. */
  readonly message: string
  /** The values behind it: digests, fingerprints, scopes, URIs. Never a secret. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
}
