/** A key pair as it is put into a store: the contents of two files, and the password that opens the first. */
export interface KeyPairFiles {
  /** What cosign.key holds: PEM, encrypted. */
  readonly privateKey: Uint8Array
  /** What cosign.pub holds: PEM. */
  readonly publicKey: Uint8Array
  /** Opens the private key; may be empty. */
  readonly password: Uint8Array
}

/** A place for one key pair outside this machine, in the form in which cosign keeps it there. */
export interface KeyStore {
  /** As it is named on the command line: `k8s://default/cosign`. */
  readonly name: string

  /**
   * What is there already and a new key pair would replace, by the names that the store has for it; empty: nothing.
   * @throws UNAUTHORIZED, FORBIDDEN, NOT_FOUND (what is to hold the keys is not there); BAD_RESPONSE, UNAVAILABLE, TIMEOUT
   */
  existing(signal?: AbortSignal): Promise<readonly string[]>

  /**
   * Puts a key pair there: all of it or, where the store allows to undo, nothing.
   * @returns what was written, by the names that the store has for it.
   * @throws ALREADY_EXISTS if something is there and must not be replaced; as `existing`, and then the message says
   * what of the three was written, if any was and could not be undone
   */
  put(pair: KeyPairFiles, options: PutKeyPairOptions): Promise<readonly string[]>
}

export interface PutKeyPairOptions {
  /** Whether a key pair that is there may be lost for this one. */
  readonly replace: boolean
  readonly signal?: AbortSignal
}

/** A store that gives out what it holds. */
export interface ReadableKeyStore extends KeyStore {
  /** @throws NOT_FOUND; others as `existing` */
  readPublicKey(signal?: AbortSignal): Promise<Uint8Array>

  /** The private key, still encrypted, and its password: both secret. @throws as `readPublicKey` */
  readPrivateKey(signal?: AbortSignal): Promise<Omit<KeyPairFiles, 'publicKey'>>
}

/** The names of the three secrets that cosign sets at GitHub and GitLab, in its order. */
export const SECRET_NAMES = {
  password: 'COSIGN_PASSWORD',
  privateKey: 'COSIGN_PRIVATE_KEY',
  publicKey: 'COSIGN_PUBLIC_KEY',
} as const satisfies Record<keyof KeyPairFiles, string>
