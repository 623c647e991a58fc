import manifest from '../../package.json' with { type: 'json' }

/** Version of this program, as package.json gives it. */
export const VERSION: string = manifest.version
