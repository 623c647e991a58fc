import type { CommandEntry } from './router.ts'

/** Every command, in the order of the main job. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'key generate',
    brief: "Make a key pair in cosign's encrypted format",
    load: () => import('./commands/key-generate.ts'),
  },
]
