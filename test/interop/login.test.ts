import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosignet, cosignetDoes, cosignetProgram } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage } from './images.ts'
import { peer } from './peers.ts'
import { REGISTRIES } from './registries.ts'
import { Sandbox } from './sandbox.ts'

const USER = 'me'
/** Password and bcrypt hash of the test vectors of crypt_blowfish. */
const PASSWORD = 'U*U'
const HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'

type Program = 'cosignet' | 'skopeo' | 'crane' | 'oras'

/** How each logs in, and who finds that: oras does not look where skopeo keeps it. */
const LOGINS: readonly { readonly by: Program; readonly login: string[]; readonly readers: Program[] }[] = [
  { by: 'cosignet', login: ['login'], readers: ['cosignet', 'skopeo', 'crane', 'oras'] },
  { by: 'skopeo', login: ['login'], readers: ['cosignet', 'skopeo', 'crane'] },
  { by: 'crane', login: ['auth', 'login'], readers: ['cosignet', 'skopeo', 'crane', 'oras'] },
  { by: 'oras', login: ['login'], readers: ['cosignet', 'skopeo', 'crane', 'oras'] },
]

/** What needs a login: reading the digest of an image. */
const READ: Readonly<Record<Program, (image: string) => readonly string[]>> = {
  cosignet: (image) => ['image', 'digest', `docker://${image}`],
  skopeo: (image) => ['inspect', '--format', '{{.Digest}}', `docker://${image}`],
  crane: (image) => ['digest', image],
  oras: (image) => ['resolve', image],
}

describeWithPeers('a registry with users', ['skopeo', 'crane', 'oras', 'docker-registry'], () => {
  describe.each(REGISTRIES)('$registry', ({ start }) => {
    describe.each(LOGINS)('logged in by $by', ({ by, login, readers }) => {
      let sandbox: Sandbox
      let host: string
      let image: string
      let digest: string

      beforeAll(async () => {
        sandbox = await Sandbox.create()
        const htpasswd = await sandbox.write('htpasswd', `${USER}:${HASH}\n`)
        ;({ host } = await start(sandbox, { tls: true, htpasswd }))
        image = `${host}/private/app:v1`
        const made = await makeImage(sandbox)
        ;({ digest } = made)
        const creds = ['--dest-creds', `${USER}:${PASSWORD}`]
        await cosignetDoes(sandbox, ['image', 'copy', ...creds, `oci:${made.layout}`, `docker://${image}`])
        expect(await cosignet(sandbox, READ.cosignet(image))).toMatchObject({ status: 3 })
        const account = ['--username', USER, '--password-stdin']
        await sandbox.succeed(program(by), [...login, ...account, host], { input: PASSWORD })
      })
      afterAll(() => sandbox.dispose())

      it.each(readers)('%s gets in', async (reader) => {
        const { stdout } = await sandbox.succeed(program(reader), READ[reader](image))
        expect(stdout.trim()).toBe(digest)
      })

      it('nobody gets in after a logout', async () => {
        await cosignetDoes(sandbox, ['logout', host])
        for (const reader of readers) {
          expect((await sandbox.run(program(reader), READ[reader](image))).status).not.toBe(0)
        }
      })
    })
  })
})

function program(name: Program): string {
  return name === 'cosignet' ? cosignetProgram : peer(name)
}
