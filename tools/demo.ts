// The main job as a story: from a key to what the guest will decide, with real servers, real files and real attacks.
// Every command is printed as it can be typed; everything that is made stays in demo-out/.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collectBytes } from '../src/core/index.ts'
import { HttpClient } from '../src/net/index.ts'
import { digestOf, MEDIA_TYPES, openRegistry, parseReference, type RegistryClient } from '../src/oci/index.ts'
import { readAttachments, signatureTag } from '../src/signature/index.ts'

const root = join(import.meta.dirname, '..')
const out = 'demo-out'
const password = 'just1testing2password3'
const servers: ChildProcess[] = []

process.chdir(root)
process.env['COSIGN_PASSWORD'] = password
process.on('exit', () => stopServers())
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(3))

await tellStory()

async function tellStory(): Promise<void> {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out)

  title(
    '1. A registry (HTTPS, with a certificate authority of its own) and a Key Broker Service, on loopback',
  )
  const registry = await startServer(
    ['registry', 'serve', '--storage', `${out}/registry`, '--issue-ca', `${out}/ca.pem`],
    'registry',
  )
  const kbsUrl = await startServer(
    ['kbs', 'serve', '--storage', `${out}/kbs`, '--insecure-http', '--insecure-allow-sample-tee'],
    'url',
  )
  const ca = ['--registry-ca', `${out}/ca.pem`]
  const kbs = ['--url', kbsUrl, '--auth-private-key', `${out}/kbs/admin.key`]

  title('2. A key pair')
  say(`export COSIGN_PASSWORD=${password}`)
  run(['key', 'generate', '--output-key-prefix', `${out}/cosign`])

  title('3. An image for two platforms from a folder of files, pushed and signed: the index and both images')
  const app = `${registry}/demo/app`
  pushImage('v1', app, ca)
  run(['sign', '--key', `${out}/cosign.key`, ...ca, `${app}:v1`])

  title('4. The public key and a policy that rejects everything else, into the Key Broker Service')
  run(['register', ...kbs, '--key', `${out}/cosign.pub`, app])

  title('5. Init data, its digest as each TEE reports it, and the Pod')
  run(
    [
      'initdata',
      'create',
      ...['--kbs-url', kbsUrl, '--policy-uri', 'kbs:///default/security-policy/test'],
      ...[...ca, '--out', `${out}/initdata.toml`],
    ],
    { show: /digest|HOSTDATA|MRCONFIGID/ },
  )
  const pod = writePod('pod', `${app}:v1`)

  title('6. What the guest will decide')
  let asExpected = judge(pod, 'allowed') ? 1 : 0

  title('7. Five images that the guest refuses: what the Pod shows, the cause, the fix')
  for (const { name, story, code, attack } of denials(app, ca, kbs)) {
    say(`\n-- ${story}`)
    const manifest = await attack()
    if (judge(manifest ?? writePod(`pod-${name}`, `${app}:${name}`), code)) asExpected += 1
  }

  await Promise.all(stopServers().map(async (server) => await once(server, 'exit')))
  say(`\n${asExpected} of 6 verdicts are as expected. Everything is in ${out}/.`)
  process.exitCode = asExpected === 6 ? 0 : 1
}

interface DenialStory {
  readonly name: string
  readonly story: string
  /** The cause that preflight must give. */
  readonly code: string
  /** Prepares it; may name the Pod to judge. */
  attack(): Promise<string | undefined>
}

function denials(app: string, ca: readonly string[], kbs: readonly string[]): readonly DenialStory[] {
  return [
    {
      name: 'unsigned',
      story: 'An image that nobody signed',
      code: 'unsigned',
      attack: async () => {
        pushImage('unsigned', app, ca)
        return undefined
      },
    },
    {
      name: 'other-key',
      story: 'An image that somebody else signed',
      code: 'wrong-key',
      attack: async () => {
        pushImage('other-key', app, ca)
        run(['key', 'generate', '--output-key-prefix', `${out}/other`])
        run(['sign', '--key', `${out}/other.key`, ...ca, `${app}:other-key`])
        return undefined
      },
    },
    {
      name: 'copied',
      story: 'A good signature, copied onto another image by someone who may write to the repository',
      code: 'other-image',
      attack: async () => {
        pushImage('copied', app, ca)
        await withRegistry(app, async (registry) => {
          const signed = await registry.getManifest('v1')
          const victim = await registry.getManifest('copied')
          const signature = await registry.getManifest(signatureTag(signed.digest))
          await registry.putManifest(signature, { tag: signatureTag(victim.digest) })
          say(`   (copied the signature of ${signed.digest} to the tag of ${victim.digest})`)
        })
        return undefined
      },
    },
    {
      name: 'tampered',
      story: 'A signed payload, changed by one byte and pushed again under its right digest',
      code: 'payload-changed',
      attack: async () => {
        pushImage('tampered', app, ca)
        run(['sign', '--key', `${out}/cosign.key`, ...ca, `${app}:tampered`])
        await withRegistry(app, tamper)
        return undefined
      },
    },
    {
      name: 'key-missing',
      story: 'The good image again, but its key is gone from the Key Broker Service',
      code: 'key-missing',
      attack: async () => {
        run(['kbs', 'delete-resource', ...kbs, '--path', 'default/sig-public-key/test'])
        return `${out}/pod.yaml`
      },
    },
  ]
}

/** Changes one letter of the signed name, and leaves every digest right. */
async function tamper(registry: RegistryClient): Promise<void> {
  const { digest } = await registry.getManifest('tampered')
  const found = await readAttachments(registry, digest)
  const attachment = found?.attachments[0]
  if (found === undefined || attachment === undefined) throw new Error('there is no signature to tamper with')
  const payload = Buffer.from(attachment.payload)
  const at = payload.indexOf('/demo/app"') + '/demo/ap'.length
  payload.write('P', at)
  const changed = { digest: digestOf(payload), size: payload.byteLength }
  await registry.putBlob(changed, payload)
  const { config } = found.manifest.content.kind === 'image' ? found.manifest.content : { config: undefined }
  if (config === undefined) throw new Error('the signature is no image')
  const oldConfig = await collectBytes(registry.getBlob(config), config.size, 'the configuration')
  const newConfig = Buffer.from(
    Buffer.from(oldConfig).toString().replaceAll(attachment.descriptor.digest, changed.digest),
  )
  const newConfigDescriptor = { digest: digestOf(newConfig), size: newConfig.byteLength }
  await registry.putBlob(newConfigDescriptor, newConfig)
  const manifest = Buffer.from(found.manifest.bytes)
    .toString()
    .replace(attachment.descriptor.digest, changed.digest)
    .replace(config.digest, newConfigDescriptor.digest)
  const bytes = Buffer.from(manifest)
  await registry.putManifest(
    { bytes, digest: digestOf(bytes), mediaType: MEDIA_TYPES.ociManifest },
    { tag: signatureTag(digest) },
  )
  say(`   (changed byte ${at} of the signed payload: "/demo/app" is "/demo/apP" now)`)
}

async function withRegistry(app: string, use: (registry: RegistryClient) => Promise<void>): Promise<void> {
  const http = new HttpClient({ ca: [readFileSync(`${out}/ca.pem`, 'utf8')] })
  try {
    await use(openRegistry(parseReference(app), { http }))
  } finally {
    http.close()
  }
}

/** An image of this repository's own papers, different for each tag. */
function pushImage(tag: string, app: string, ca: readonly string[]): void {
  const folder = `${out}/images/${tag}`
  mkdirSync(folder, { recursive: true })
  for (const file of ['LICENSE', 'README.md', 'schemas'])
    cpSync(join(root, file), join(folder, file), { recursive: true })
  writeFileSync(join(folder, 'TAG'), `${tag}\n`)
  run([
    'image',
    'push',
    '--platform',
    'linux/amd64,linux/arm64',
    '--entrypoint',
    '/bin/app',
    ...ca,
    folder,
    `${app}:${tag}`,
  ])
}

function writePod(name: string, image: string): string {
  const file = `${out}/${name}.yaml`
  writeFileSync(
    file,
    `apiVersion: v1
kind: Pod
metadata:
  name: ${name}
spec:
  runtimeClassName: kata-qemu-coco-dev
  containers:
    - name: app
      image: ${image}
      imagePullPolicy: Always
`,
  )
  run(['pod', 'annotate', '--initdata', `${out}/initdata.toml`, file])
  return file
}

/** Runs preflight and prints what it says; whether it decided as expected. */
function judge(pod: string, expected: string): boolean {
  const allowed = expected === 'allowed'
  const { status, stdout } = run(['preflight', pod], {
    expect: allowed ? 0 : 1,
    show: allowed ? /./ : /Pod shows:|cause:|fix:/,
  })
  const asExpected = allowed ? status === 0 : status === 1 && stdout.includes(`[${expected}]`)
  if (!asExpected)
    say(`   NOT AS EXPECTED: ${expected} was expected, the exit status is ${status}.\n${stdout}`)
  return asExpected
}

function run(
  args: readonly string[],
  options: { readonly expect?: number; readonly show?: RegExp } = {},
): { readonly status: number | null; readonly stdout: string } {
  say(`$ ./cosignet ${args.join(' ')}`)
  const { status, stdout, stderr } = spawnSync('./cosignet', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const shown = stdout.split('\n').filter((line) => line !== '' && (options.show ?? /./).test(line))
  if (shown.length > 0) say(shown.map((line) => `   ${line}`).join('\n'))
  if (status !== (options.expect ?? 0)) {
    process.stderr.write(stderr)
    if (options.expect === undefined) throw new Error(`cosignet ${args[0]} ended with ${status}`)
  }
  return { status, stdout }
}

/** Starts a server and waits until it says where it is; returns that value of its answer. */
async function startServer(args: readonly string[], field: string): Promise<string> {
  say(`$ ./cosignet ${args.join(' ')} &`)
  const log = openSync(`${out}/${args[0]}.log`, 'w')
  const server = spawn('./cosignet', [...args, '-o', 'json'], { stdio: ['ignore', 'pipe', log] })
  servers.push(server)
  let text = ''
  for await (const chunk of server.stdout ?? []) {
    text += chunk
    if (text.includes('\n}\n')) break
  }
  const answer = JSON.parse(text) as Record<string, string>
  const value = answer[field] ?? ''
  say(`   ${value}`)
  return value
}

function stopServers(): readonly ChildProcess[] {
  const running = servers.splice(0).filter((server) => server.exitCode === null)
  for (const server of running) server.kill('SIGTERM')
  return running
}

function title(text: string): void {
  say(`\n== ${text}`)
}

function say(text: string): void {
  console.log(text)
}
