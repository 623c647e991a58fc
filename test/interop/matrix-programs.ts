import type { MatrixProgram } from './matrix.ts'
import { COSIGN_PROGRAMS } from './matrix-cosign.ts'
import { COSIGNET_PROGRAM } from './matrix-cosignet.ts'
import { GPG_PROGRAM } from './matrix-gpg.ts'
import { SKOPEO_PROGRAM } from './matrix-skopeo.ts'

/** All of them, in the order of the table. */
export const MATRIX_PROGRAMS: readonly MatrixProgram[] = [
  COSIGNET_PROGRAM,
  ...COSIGN_PROGRAMS,
  SKOPEO_PROGRAM,
  GPG_PROGRAM,
]

/** Programs that the matrix needs. */
export const MATRIX_PEERS = ['cosign3', 'cosign2', 'cosign22', 'skopeo', 'gpg', 'docker-registry'] as const
