import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { chmod, cp, mkdir, readdir } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, listing, startKbs, startRegistry } from './cosignet.ts'
import { ROGUE_DIGEST, type RogueServer, startRogueServer } from './rogue-server.ts'

/** Where the servers of a case are. */
interface World {
  /** Host and port of a registry that works. */
  readonly registry: string
  /** URL of a KBS that works. */
  readonly kbs: string
  /** Host and port of the server of `rogue-server.ts`. */
  readonly rogue: string
}

interface Case {
  readonly what: string
  /** The command line, separated by spaces. */
  readonly line: string | ((world: World) => string)
  /** `null` takes COSIGN_PASSWORD away. */
  readonly password?: string | null
  readonly exit: 1 | 2 | 3
  /** What the one line on standard error says. */
  readonly says: RegExp
  /** Whether something is told before it fails. */
  readonly talks?: boolean
}

const ANNOTATION = 'io.katacontainers.config.hypervisor.cc_init_data'
/** Nothing listens there. */
const NOBODY = '127.0.0.1:9'
const SIGN = 'sign --key cosign.key'
const VERIFY = 'verify --key cosign.pub'
const CREATE = 'initdata create --kbs-url http://kbs.example'
const URI = '--policy-uri kbs:///default/security-policy/test'
const REGISTER = '--auth-private-key admin.key --key cosign.pub'

const CASES: readonly Case[] = [
  // Keys and passwords.
  {
    what: 'a wrong password',
    line: ({ registry }) => `${SIGN} ${registry}/demo/app:v1`,
    password: 'wrong',
    exit: 2,
    says: /password/,
    talks: true,
  },
  {
    what: 'no password and no terminal',
    line: ({ registry }) => `${SIGN} ${registry}/demo/app:v1`,
    password: null,
    exit: 2,
    says: /COSIGN_PASSWORD is not set/,
  },
  {
    what: 'no password for a new key',
    line: 'key generate --output-key-prefix new',
    password: null,
    exit: 2,
    says: /COSIGN_PASSWORD is not set/,
  },
  ...keyCases('sign', {
    garbage: /"garbage" is not/,
    'cosign.pub': /"cosign\.pub" is not/,
    empty: /"empty"/,
    big: /"big" is larger than the limit/,
    'a-folder': /"a-folder" cannot be read/,
    missing: /"missing" cannot be read: no such file or folder/,
    'cut.key': /"cut\.key" is not/,
  }),
  ...keyCases('verify', {
    garbage: /"garbage" is not/,
    'cosign.key': /"cosign\.key" is not/,
    empty: /"empty"/,
    big: /"big" is larger than the limit/,
    'a-folder': /"a-folder" cannot be read/,
    missing: /"missing" cannot be read: no such file or folder/,
  }),
  { what: 'a key file that is there', line: 'key generate', exit: 2, says: /"cosign\.key" exists already/ },
  {
    what: 'a public key file that is there',
    line: 'key generate --output-key-prefix half',
    exit: 2,
    says: /"half\.pub" exists already/,
  },
  {
    what: 'an administrator key that is none',
    line: ({ kbs, registry }) =>
      `register --url ${kbs} --auth-private-key cosign.pub --key cosign.pub ${registry}/demo/app`,
    exit: 2,
    says: /administrator/,
  },
  {
    what: 'the administrator key of another KBS',
    line: ({ kbs, registry }) =>
      `register --url ${kbs} --auth-private-key other.key --key cosign.pub ${registry}/demo/app`,
    exit: 3,
    says: /cannot be changed/,
  },
  {
    what: 'an administrator token of two lines',
    line: ({ kbs, registry }) =>
      `register --url ${kbs} --admin-token-file garbage --key cosign.pub ${registry}/demo/app`,
    exit: 2,
    says: /token/,
  },
  {
    what: 'two ways to be an administrator',
    line: ({ kbs }) =>
      `kbs delete-resource --url ${kbs} --path a/b/c --auth-private-key admin.key --admin-token-file garbage`,
    exit: 2,
    says: /either --auth-private-key or --admin-token-file/,
  },
  {
    what: 'a public key of administrators that is none',
    line: 'kbs serve --storage new --insecure-http --admin-public-key garbage',
    exit: 2,
    says: /administrator/,
  },

  // Values that have a form.
  { what: 'a reference with capitals', line: `${SIGN} Example/App`, exit: 2, says: /"Example\/App"/ },
  {
    what: 'a reference with a broken digest',
    line: `${VERIFY} demo/app@sha256:12`,
    exit: 2,
    says: /"sha256:12" is not a digest/,
  },
  {
    what: 'a reference that is a URL',
    line: `${VERIFY} https://registry.example/app`,
    exit: 2,
    says: /"https:\/\/registry\.example\/app"/,
  },
  {
    what: 'a digest to push to',
    line: `image push app demo/app@${ROGUE_DIGEST}`,
    exit: 2,
    says: /names a digest/,
  },
  {
    what: 'a platform without a processor',
    line: 'image push --platform linux app demo/app:v1',
    exit: 2,
    says: /"linux" is not a platform/,
  },
  {
    what: 'a platform for a layout',
    line: 'image push --platform linux/amd64 oci:layout demo/app:v1',
    exit: 2,
    says: /layout has its platforms/,
  },
  {
    what: 'a layout that is none',
    line: ({ registry }) => `image push oci:app ${registry}/demo/app:v1`,
    exit: 2,
    says: /"oci:app" is not an OCI image layout/,
  },
  {
    what: 'a folder that is not there',
    line: ({ registry }) => `image push missing ${registry}/demo/app:v1`,
    exit: 3,
    says: /"missing"/,
  },
  {
    what: 'a file as the folder',
    line: ({ registry }) => `image push garbage ${registry}/demo/app:v1`,
    exit: 3,
    says: /"garbage"/,
  },
  {
    what: 'an annotation without a value',
    line: `${SIGN} -a oops demo/app`,
    exit: 2,
    says: /"oops" is not an annotation/,
  },
  {
    what: 'a KBS URL without a scheme',
    line: 'kbs get-resource --url kbs.example --path a/b/c',
    exit: 2,
    says: /"kbs\.example" is not a URL/,
  },
  {
    what: 'a KBS URL of another scheme',
    line: 'kbs get-resource --url ftp://kbs.example --path a/b/c',
    exit: 2,
    says: /"ftp:\/\/kbs\.example" is not a URL/,
  },
  {
    what: 'a KBS URL with a password',
    line: 'kbs get-resource --url http://me:s3cr3t@kbs.example --path a/b/c',
    exit: 2,
    says: /^(?!.*s3cr3t)cosignet: .*user name or password/,
  },
  {
    what: 'init data for no URL',
    line: `initdata create --kbs-url kbs.example ${URI} --out new.toml`,
    exit: 2,
    says: /"kbs\.example"/,
  },
  {
    what: 'init data with two policies',
    line: `${CREATE} ${URI} --policy-file policy.json --out new.toml`,
    exit: 2,
    says: /either --policy-uri or --policy-file/,
  },
  {
    what: 'init data without a policy',
    line: `${CREATE} --out new.toml`,
    exit: 2,
    says: /accepts every image/,
  },
  {
    what: 'init data with a policy at no resource',
    line: `${CREATE} --policy-uri kbs:///a/b --out new.toml`,
    exit: 2,
    says: /"kbs:\/\/\/a\/b"/,
  },
  ...['127.0.0.1', '127.0.0.1:99999', ':80', '[::1:80'].map(
    (listen): Case => ({
      what: `the address ${listen}`,
      line: `registry serve --listen=${listen}`,
      exit: 2,
      says: /is not an address/,
    }),
  ),
  {
    what: 'an address that is taken',
    line: ({ registry }) => `registry serve --listen ${registry}`,
    exit: 3,
    says: /cannot listen on/,
  },
  {
    what: 'an address of the world without a certificate',
    line: 'registry serve --listen 0.0.0.0:0',
    exit: 2,
    says: /no loopback address/,
  },
  {
    what: 'a KBS without a certificate',
    line: 'kbs serve --storage new',
    exit: 2,
    says: /needs a certificate/,
  },
  {
    what: 'half a certificate',
    line: 'registry serve --tls-cert cosign.pub',
    exit: 2,
    says: /both --tls-cert and --tls-key/,
  },
  {
    what: 'a certificate that is none',
    line: 'registry serve --tls-cert garbage --tls-key garbage',
    exit: 2,
    says: /certificate/,
  },
  {
    what: 'a certificate twice',
    line: 'registry serve --issue-ca new.pem --tls-cert garbage --tls-key garbage',
    exit: 2,
    says: /either --issue-ca/,
  },
  {
    what: 'an authority that is none',
    line: `${VERIFY} --registry-ca garbage demo/app`,
    exit: 2,
    says: /"garbage" holds no PEM certificate/,
  },
  ...[
    '../../etc/passwd',
    'a/b',
    'a/b/c/d',
    '.x/y/z',
    'a/../c',
    '/a/b/c',
    'a//c',
    `a/b/${'c'.repeat(300)}`,
  ].flatMap((path): Case[] => [
    {
      what: `reading ${path.slice(0, 20)}`,
      line: ({ kbs }) => `kbs get-resource --url ${kbs} --path ${path}`,
      exit: 2,
      says: /is not a resource path/,
    },
    {
      what: `storing ${path.slice(0, 20)}`,
      line: ({ kbs, registry }) =>
        `register --url ${kbs} ${REGISTER} --key-path ${path} ${registry}/demo/app`,
      exit: 2,
      says: /is not a resource path/,
    },
  ]),

  // Files that do not hold what they should.
  {
    what: 'a policy with a typo',
    line: `${CREATE} --policy-file typo.json --out new.toml`,
    exit: 2,
    says: /"typo\.json".*"sigstoreSinged"/,
  },
  {
    what: 'registering a policy with a typo',
    line: ({ kbs }) => `register --url ${kbs} ${REGISTER} --policy typo.json`,
    exit: 2,
    says: /"typo\.json".*"sigstoreSinged"/,
  },
  {
    what: 'a policy that is not JSON',
    line: `${CREATE} --policy-file garbage --out new.toml`,
    exit: 2,
    says: /"garbage" is not JSON: line 1, column 1/,
  },
  {
    what: 'images and a policy',
    line: ({ kbs }) => `register --url ${kbs} ${REGISTER} --policy policy.json demo/app`,
    exit: 2,
    says: /either the images/,
  },
  { what: 'init data that is not TOML', line: 'initdata inspect garbage', exit: 2, says: /"garbage"/ },
  {
    what: 'init data without a version',
    line: 'pod annotate --initdata half.toml pod.yaml',
    exit: 2,
    says: /"half\.toml"/,
  },
  { what: 'init data cut short', line: 'initdata inspect cut.b64', exit: 2, says: /cut short/ },
  {
    what: 'a manifest that is not YAML',
    line: 'pod annotate --initdata good.toml garbage',
    exit: 2,
    says: /manifest|Pod/,
  },
  { what: 'broken YAML', line: 'preflight broken.yaml', exit: 2, says: /broken\.yaml|line 2/ },
  { what: 'YAML that expands without end', line: 'preflight laughs.yaml', exit: 2, says: /alias/ },
  { what: 'no Pod in the manifest', line: 'preflight service.yaml', exit: 2, says: /Pod/ },
  { what: 'a Pod without containers', line: 'preflight no-containers.yaml', exit: 2, says: /container/ },
  {
    what: 'a manifest that is not there',
    line: 'preflight missing.yaml',
    exit: 3,
    says: /"missing\.yaml" cannot be read: no such file or folder/,
  },
  {
    what: 'an annotation that is not base64',
    line: 'preflight not-base64.yaml',
    exit: 2,
    says: /is not base64/,
  },
  {
    what: 'an annotation that is not gzip',
    line: 'preflight not-gzip.yaml',
    exit: 2,
    says: /but not of gzip/,
  },
  { what: 'an annotation that is not TOML', line: 'preflight not-toml.yaml', exit: 2, says: /TOML/ },
  {
    what: 'a workload that is not in the file',
    line: 'pod annotate --initdata good.toml --workload other pod.yaml',
    exit: 2,
    says: /"other"/,
  },

  // Keys: what they are, where they are and where they shall go.
  ...lines('key', {
    'generate --type rsa': [2, /--type is one of cosign, gpg, not "rsa"/],
    'generate --type gpg --output-key-prefix new': [2, /--user-id/],
    'generate --type gpg --user-id a\u0007b --output-key-prefix new': [2, /user ID/],
    'generate --user-id me --output-key-prefix new': [2, /--user-id/],
    'generate --password-file missing --output-key-prefix new': [3, /password file "missing" cannot be read/],
    'generate --password-file a-folder --output-key-prefix new': [
      3,
      /"a-folder" cannot be read: it is a folder/,
    ],
    'generate --password-file big --output-key-prefix new': [3, /"big" is larger than the limit/],
    'generate k8s://': [2, /"k8s:\/\/"/],
    'generate k8s://a/b/c': [2, /"k8s:\/\/a\/b\/c"/],
    'generate k8s://a/B': [2, /"k8s:\/\/a\/B"/],
    'generate gitlab://': [2, /"gitlab:\/\/"/],
    'generate github://': [2, /"github:\/\/"/],
    'generate github://a/b': [2, /GITHUB_TOKEN is not set/],
    'generate gitlab://a/b': [2, /GITLAB_TOKEN is not set/],
    'generate env://KEY': [2, /env:\/\/KEY/],
    'generate https://keys.example/cosign.key': [2, /https:\/\/keys\.example/],
    'import garbage': [2, /"garbage" is not/],
    'import empty': [2, /"empty"/],
    'import big': [3, /"big" is larger than the limit/],
    'import a-folder': [3, /"a-folder" cannot be read: it is a folder/],
    'import missing': [3, /"missing" cannot be read: no such file or folder/],
    'import cosign.pub': [2, /"cosign\.pub" is not valid: it is a public key/],
    'import cosign.key --output-key-prefix new': [2, /"cosign\.key"/],
    'import other.key --output-key-prefix cosign': [2, /"cosign\.key" exists already/],
    'import other.key --output-key-prefix garbage/new': [3, /cannot be written/],
    'import locked.pem --output-key-prefix new': [2, /"locked\.pem"/],
    'import locked.pem --import-password-file wrong --output-key-prefix new': [2, /password/],
    'import secp256k1.pem --output-key-prefix new': [2, /secp256k1/],
    'export garbage': [2, /"garbage" is not/],
    'export missing': [3, /"missing" cannot be read/],
    'export cosign.pub': [2, /it is a public key/],
    'export cosign.key --to pem': [2, /--to is one of .*not "pem"/],
    'export cosign.key --to pkcs8': [2, /--insecure-plain/],
    'export cosign.key --insecure-plain': [2, /--insecure-plain/],
    'export cosign.key --password-file wrong': [2, /password/],
    'export cosign.key --out cosign.pub': [2, /"cosign\.pub" exists already/],
    'export cosign.key --out garbage/new': [3, /cannot be written/],
    'public garbage': [2, /"garbage" is not/],
    'public missing': [3, /"missing" cannot be read/],
    'public cosign.key --password-file wrong': [2, /password/],
    'public cosign.key --out garbage/new': [3, /cannot be written/],
    'public github://a/b': [3, /GitHub gives no secret out/],
    'inspect garbage': [2, /"garbage" is not/],
    'inspect empty': [2, /"empty"/],
    'inspect cut.key': [2, /"cut\.key"/],
    'inspect big': [3, /"big" is larger than the limit/],
  }),

  // Signing.
  ...lines('sign', {
    'REG/demo/app:v1': [2, /give --key or --sign-by/],
    '--key cosign.key --sign-by me REG/demo/app:v1': [2, /--key and --sign-by contradict each other/],
    '--sign-by me REG/demo/app:v1': [2, /"me" is not a fingerprint/],
    '--key cosign.key --format gpg REG/demo/app:v1': [2, /--format is one of .*not "gpg"/],
    '--key cosign.key --format simple REG/demo/app:v1': [2, /OpenPGP key/],
    '--key cosign.key --password-file missing REG/demo/app:v1': [3, /password file "missing"/],
    '--key cosign.key --identity A//B REG/demo/app:v1': [2, /"A\/\/B"/],
    '--key cosign.key --repository A//B REG/demo/app:v1': [2, /"A\/\/B"/],
    '--key cosign.key -a =x REG/demo/app:v1': [2, /"=x" is not an annotation/],
    '--key cosign.key -a a="x REG/demo/app:v1': [2, /quotation mark/],
    '--key cosign.key --upload=maybe REG/demo/app:v1': [2, /--upload is a switch/],
    '--key cosign.key --rekor-url ftp://rekor REG/demo/app:v1': [2, /"ftp:\/\/rekor" is not the address/],
    '--key cosign.key --rekor-url http://127.0.0.1:9 --rekor-public-key garbage REG/demo/app:v1': [
      2,
      /"garbage"/,
    ],
    '--key cosign.key --rekor-url http://127.0.0.1:9 REG/demo/app:v1': [2, /public key of the log/],
    '--key env://MISSING REG/demo/app:v1': [2, /no variable "MISSING"/],
    '--key https://keys.example/cosign.key REG/demo/app:v1': [2, /not read from the web/],
    '--key github://a/b REG/demo/app:v1': [3, /GitHub gives no secret out/],
    '--key k8s://a REG/demo/app:v1': [2, /"k8s:\/\/a"/],
    '--key gitlab://a/b REG/demo/app:v1': [2, /GITLAB_TOKEN is not set/],
    '--key cosign.key --identity a.example/b:v1 dir:app': [2, /dir:app is not a dir: image/],
    '--key cosign.key --identity a.example/b:v1 oci:app': [2, /is not an OCI image layout/],
    '--key cosign.key oci-archive:garbage': [3, /oci-archive:garbage cannot hold signatures/],
    '--key cosign.key oci:app': [2, /does not tell which repository the image is for/],
    '--key cosign.key https://registry.example/app': [2, /"https:\/\/registry\.example\/app"/],
  }),

  // Verifying, and looking at what is there.
  ...lines('verify', {
    '--key cosign.pub --require 0 REG/demo/app:v1': [2, /--require is a number such as 2, not "0"/],
    '--key cosign.pub --require two REG/demo/app:v1': [2, /--require is a number such as 2, not "two"/],
    '--key cosign.pub --require 2 REG/demo/app:v1': [2, /2 different keys are asked for, and 1 different/],
    '--key cosign.pub --key cosign.pub --require 2 REG/demo/app:v1': [2, /and 1 different key/],
    '--key cosign.pub -a oops REG/demo/app:v1': [2, /"oops" is not an annotation/],
    '--key cosign.pub --check-claims=maybe REG/demo/app:v1': [2, /--check-claims is a switch/],
    '--key cosign.pub --rekor-public-key garbage REG/demo/app:v1': [2, /"garbage"/],
    '--key cosign.pub --rekor-public-key missing REG/demo/app:v1': [3, /"missing" cannot be read/],
    '--key env://MISSING REG/demo/app:v1': [2, /no variable "MISSING"/],
    '--key http://keys.example/cosign.pub REG/demo/app:v1': [2, /"http:\/\/keys\.example\/cosign\.pub"/],
    '--key https://127.0.0.1:9/cosign.pub REG/demo/app:v1': [3, /connection was refused/],
    '--key https://127.0.0.1:9/cosign.pub --offline REG/demo/app:v1': [2, /--offline was given/],
    '--key github://a/b REG/demo/app:v1': [3, /GitHub gives no secret out/],
    '--key secp256k1.pub REG/demo/app:v1': [2, /secp256k1/],
    '--key cosign.pub docker-archive:app.tar': [2, /docker-archive: keeps no signatures/],
    '--key cosign.pub docker-daemon:app': [2, /docker-daemon: keeps no signatures/],
    '--key cosign.pub dir:app': [2, /dir:app is not a dir: image/],
    '--key cosign.pub REG/demo/missing': [3, /demo\/missing/],
  }),
  ...lines('signatures', {
    'REG/demo/missing': [3, /demo\/missing/],
    'oci:app': [2, /is not an OCI image layout/],
    'dir:missing': [2, /dir:missing is not a dir: image/],
    '--key cosign.key REG/demo/app:v1': [2, /"cosign\.key" is not/],
    '--key missing REG/demo/app:v1': [3, /"missing" cannot be read/],
    'REG/demo/app:v1 REG/demo/app:v2': [2, /too many/],
    'Example/App': [2, /"Example\/App"/],
    '127.0.0.1:9/demo/app': [3, /connection was refused/],
    'ROGUE/html/app': [3, /HTML/],
    'ROGUE/garbage/app': [3, /not valid HTTP/],
    'ROGUE/endless/app': [3, /larger than the limit/],
  }),

  // Images and places for them.
  ...imageCases({
    'http://registry.example/app oci:new': /"http:\/\/registry\.example\/app" does not name an image/,
    'registry.example/app oci:new': /does not name an image.*\n.*"docker:\/\/registry\.example\/app"/,
    'docker:registry.example/app oci:new': /docker: is followed by two slashes/,
    'docker://Example/App oci:new': /"Example\/App"/,
    'docker://demo/app@sha256:12 oci:new': /"sha256:12" is not a digest/,
    'IMAGE garbage/new': /does not name an image/,
    'oci: dir:new': /there is no path/,
    'oci:layout:a//b dir:new': /"a\/\/b" is not a name of an image in a layout/,
    'oci:layout:@x dir:new': /"@x" is not a place such as @0/,
    [`docker-archive:a.tar:demo/app@${ROGUE_DIGEST} dir:new`]: /named by a tag/,
    'oci:app dir:new': /"?oci:app"? is not an OCI image layout/,
    'oci:missing dir:new': /oci:missing/,
    'dir:app oci:new': /dir:app is not a dir: image/,
    'oci-archive:garbage dir:new': /The archive "garbage" is not valid/,
    'docker-archive:garbage dir:new': /The archive "garbage" is not valid/,
    'docker-archive:empty dir:new': /"empty"/,
    'docker-daemon:demo/app@sha256:12 dir:new': /sha256:12/,
    '--src-daemon-host ftp://host docker-daemon:demo/app dir:new':
      /"ftp:\/\/host" is not the place of a Docker daemon/,
    'IMAGE oci:new:@0': /"oci:new:@0" names a place to read, not to write/,
    'IMAGE docker-archive:new.tar:@0': /"docker-archive:new\.tar:@0" names a place to read/,
    'IMAGE dir:app': /"app" is not a dir: image, and is left as it is/,
    'IMAGE oci:app': /is not an OCI image layout/,
    '--format v3 IMAGE oci:new': /--format is one of oci, v2s2, not "v3"/,
    '--retry-times many IMAGE oci:new': /--retry-times is a number such as 3, not "many"/,
    '--retry-times=-1 IMAGE oci:new': /--retry-times is a number such as 3, not "-1"/,
    '--src-creds canary:canary --src-no-creds IMAGE oci:new': /--src-no-creds and --src-creds contradict/,
    '--src-creds canary:canary --src-username canary --src-password canary IMAGE oci:new':
      /--src-creds and --src-username contradict/,
    '--dest-username canary IMAGE oci:new': /--dest-username and --dest-password go together/,
    '--dest-password canary IMAGE oci:new': /--dest-username and --dest-password go together/,
    '--src-creds :canary IMAGE oci:new': /--src-creds has no user name before the colon/,
    '--dest-registry-token canary\u0007 IMAGE oci:new': /--dest-registry-token cannot stand in a header/,
    '--policy policy.json oci:layout dir:new': /judges an image by its name in a registry; here it has none/,
    '--policy typo.json IMAGE oci:new': /"typo\.json".*"sigstoreSinged"/,
    '--policy garbage IMAGE oci:new': /"garbage" is not JSON/,
    '--resources app IMAGE oci:new': /--resources holds the keys of a policy: give --policy too/,
    IMAGE: /argument DESTINATION is missing/,
    'IMAGE oci:new oci:more': /too many: "oci:more"/,
  }),
  ...failedCases({
    'docker-archive:missing dir:new': /The archive "missing" cannot be read: no such file or folder/,
    'oci-archive:missing dir:new': /"missing" cannot be read: no such file or folder/,
    'IMAGE dir:garbage': /"?garbage"?/,
    'IMAGE dir:garbage/new': /cannot be written: a part of its path is a file/,
    'IMAGE oci:garbage/new': /a part of its path is a file/,
    'IMAGE oci-archive:a-folder': /"a-folder" cannot be written: it is a folder/,
    'IMAGE docker-archive:garbage/new.tar': /cannot be written: a part of its path is a file/,
    [`IMAGE docker://REG/demo/new:v1@${ROGUE_DIGEST}`]: /cannot be written: the image has the digest/,
    'docker://REG/demo/missing oci:new': /demo\/missing/,
    [`docker://${NOBODY}/demo/app oci:new`]: /connection was refused/,
    [`IMAGE docker://${NOBODY}/demo/app`]: /connection was refused/,
    '--policy missing.json IMAGE oci:new': /"missing\.json" cannot be read/,
    '--src-cert-dir missing IMAGE oci:new': /"missing"/,
    'docker://ROGUE/html/app oci:new': /HTML|no KBS error/,
    'docker://ROGUE/garbage/app oci:new': /not valid HTTP/,
    'docker://ROGUE/endless/app oci:new': /larger than the limit/,
    [`docker://ROGUE/lies/app@${ROGUE_DIGEST} oci:new`]: /digest/,
    '-q IMAGE docker://ROGUE/html/app': /HTML|no KBS error/,
  }),
  {
    what: 'a file to list the tags of',
    line: 'image list-tags dir:app',
    exit: 2,
    says: /is not a repository of a registry/,
  },
  {
    what: 'a tag to list the tags of',
    line: 'image list-tags docker://demo/app:v1',
    exit: 2,
    says: /is not a repository/,
  },
  {
    what: 'a file to delete',
    line: 'image delete --yes dir:app',
    exit: 2,
    says: /"dir:app" is not in a registry/,
  },
  {
    what: 'a deletion with nobody to ask',
    line: ({ registry }) => `image delete docker://${registry}/demo/app:v1`,
    exit: 2,
    says: /There is no terminal to ask/,
    talks: true,
  },
  {
    what: 'the digest of what is not there',
    line: ({ registry }) => `image digest docker://${registry}/demo/missing`,
    exit: 3,
    says: /demo\/missing/,
  },
  {
    what: 'a look at a layout that is none',
    line: 'image inspect oci:app',
    exit: 2,
    says: /is not an OCI image layout/,
  },

  // Dockerfiles.
  ...dockerfileCases({
    run: [3, /"run\.dockerfile", line 2: RUN is not supported/],
    unknown: [2, /unknown\.dockerfile.*line 2.*FRMO/],
    'no-from': [2, /no-from\.dockerfile.*FROM/],
    outside: [2, /outside\.dockerfile.*line 2/],
    'not-there': [3, /"not-there\.dockerfile", line 2: "nowhere" is not in the context/],
    'no-base': [3, /no-base\.dockerfile.*line 1.*demo\/missing/],
    garbage: [2, /garbage/],
    empty: [2, /empty/],
  }),
  {
    what: 'no Dockerfile',
    line: 'image build app oci:new',
    exit: 3,
    says: /The Dockerfile "app\/Dockerfile" cannot be read/,
  },
  {
    what: 'a build for a platform that is none',
    line: 'image build --platform linux -f scratch.dockerfile app oci:new',
    exit: 2,
    says: /"linux" is not a platform/,
  },
  {
    what: 'a build to no place',
    line: 'image build -f scratch.dockerfile app new',
    exit: 2,
    says: /"new" does not name an image/,
  },
  {
    what: 'a build of a folder that is not there',
    line: 'image build -f copy.dockerfile missing oci:new',
    exit: 3,
    says: /missing/,
  },

  // The command line itself.
  {
    what: 'an unknown command',
    line: 'veryfy',
    exit: 2,
    says: /no command "veryfy"; did you mean verify\?\n/,
  },
  {
    what: 'an unknown verb',
    line: 'key make',
    exit: 2,
    says: /no command "key make"\.\n {2}hint: .*'cosignet key --help'/,
  },
  {
    what: 'an unknown flag',
    line: `${VERIFY} --kye x demo/app`,
    exit: 2,
    says: /no flag "--kye"; did you mean --key\?\n/,
  },
  { what: 'an unknown letter', line: `${VERIFY} -x demo/app`, exit: 2, says: /no flag "-x"/ },
  {
    what: 'a flag twice',
    line: `${VERIFY} --require 1 --require 2 demo/app`,
    exit: 2,
    says: /--require may be given only once/,
  },
  {
    what: 'a flag without its value',
    line: 'verify demo/app --key',
    exit: 2,
    says: /--key must be given, with a value/,
  },
  {
    what: 'a value for a switch',
    line: `${SIGN} --recursive=maybe demo/app`,
    exit: 2,
    says: /--recursive is a switch/,
  },
  { what: 'a missing flag', line: 'verify demo/app', exit: 2, says: /--key must be given/ },
  { what: 'a missing argument', line: VERIFY, exit: 2, says: /argument IMAGE is missing/ },
  {
    what: 'an argument too many',
    line: 'preflight pod.yaml other.yaml',
    exit: 2,
    says: /too many: "other\.yaml"/,
  },
  {
    what: 'an output format that is none',
    line: `${VERIFY} -o xml demo/app`,
    exit: 2,
    says: /--output is one of text, json, yaml, not "xml"/,
  },

  // Servers that are down or play foul.
  {
    what: 'signing where no registry is',
    line: `${SIGN} ${NOBODY}/demo/app`,
    exit: 3,
    says: /connection was refused/,
  },
  {
    what: 'verifying where no registry is',
    line: `${VERIFY} ${NOBODY}/demo/app`,
    exit: 3,
    says: /connection was refused/,
  },
  {
    what: 'pushing where no registry is',
    line: `image push app ${NOBODY}/demo/app:v1`,
    exit: 3,
    says: /connection was refused/,
  },
  {
    what: 'registering where no KBS is',
    line: `register --url http://${NOBODY} ${REGISTER} demo/app`,
    exit: 3,
    says: /connection was refused/,
  },
  {
    what: 'reading where no KBS is',
    line: `kbs get-resource --url http://${NOBODY} --path a/b/c`,
    exit: 3,
    says: /connection was refused/,
  },
  {
    what: 'an image that is not there',
    line: ({ registry }) => `${SIGN} ${registry}/demo/missing`,
    exit: 3,
    says: /demo\/missing/,
  },
  {
    what: 'a resource that is not there',
    line: ({ kbs }) => `kbs get-resource --url ${kbs} --path a/b/missing`,
    exit: 3,
    says: /does not exist/,
  },
  ...['garbage', 'html'].flatMap((how): Case[] => [
    {
      what: `signing where the registry speaks ${how}`,
      line: ({ rogue: host }) => `${SIGN} ${host}/${how}/app`,
      exit: 3,
      says: how === 'html' ? /HTML|no KBS error/ : /not valid HTTP/,
    },
    {
      what: `verifying where the registry speaks ${how}`,
      line: ({ rogue: host }) => `${VERIFY} ${host}/${how}/app`,
      exit: 3,
      says: how === 'html' ? /HTML|no KBS error/ : /not valid HTTP/,
    },
    {
      what: `pushing where the registry speaks ${how}`,
      line: ({ rogue: host }) => `image push app ${host}/${how}/app:v1`,
      exit: 3,
      says: how === 'html' ? /HTML|no KBS error/ : /not valid HTTP/,
    },
    {
      what: `registering where the KBS speaks ${how}`,
      line: ({ rogue: host }) => `register --url http://${host}/${how} ${REGISTER} demo/app`,
      exit: 3,
      says: how === 'html' ? /HTML|no KBS error/ : /not valid HTTP/,
    },
    {
      what: `reading where the KBS speaks ${how}`,
      line: ({ rogue: host }) => `kbs get-resource --url http://${host}/${how} --path a/b/c`,
      exit: 3,
      says: how === 'html' ? /HTML|no KBS error/ : /not valid HTTP/,
    },
  ]),
  {
    what: 'signing what has another digest',
    line: ({ rogue: host }) => `${SIGN} ${host}/lies/app@${ROGUE_DIGEST}`,
    exit: 3,
    says: /digest/,
  },
  {
    what: 'a manifest without end to sign',
    line: ({ rogue: host }) => `${SIGN} ${host}/endless/app`,
    exit: 3,
    says: /larger than the limit/,
  },
  {
    what: 'a manifest without end to verify',
    line: ({ rogue: host }) => `${VERIFY} ${host}/endless/app`,
    exit: 3,
    says: /larger than the limit/,
  },
  {
    what: 'a KBS answer without end',
    line: ({ rogue: host }) => `kbs get-resource --url http://${host}/endless --path a/b/c`,
    exit: 3,
    says: /larger than the limit/,
  },

  // Where results go.
  ...['garbage/new.toml', 'a-folder', '/proc/self/new.toml'].map(
    (out): Case => ({
      what: `init data to ${out}`,
      line: `${CREATE} ${URI} --out ${out}`,
      exit: 3,
      says: /cannot be written/,
    }),
  ),
  {
    what: 'a key pair into a file',
    line: 'key generate --output-key-prefix garbage/new',
    exit: 3,
    says: /cannot be written/,
  },
  {
    what: 'an annotated Pod into a file',
    line: 'pod annotate --initdata good.toml --out garbage/pod.yaml pod.yaml',
    exit: 3,
    says: /cannot be written/,
  },
  {
    what: 'a resource into a file',
    line: ({ kbs }) => `kbs get-resource --url ${kbs} --path default/there/it --out garbage/it`,
    exit: 3,
    says: /cannot be written/,
  },
  {
    what: 'the CA of a registry into a file',
    line: 'registry serve --issue-ca garbage/ca.pem',
    exit: 3,
    says: /cannot be written/,
  },
  { what: 'a registry in a file', line: 'registry serve --storage garbage', exit: 3, says: /"garbage"/ },
  { what: 'a KBS in a file', line: 'kbs serve --insecure-http --storage garbage', exit: 3, says: /garbage/ },
]

/** A case for each file that is given as the key of a command; the registry is never asked. */
function keyCases(command: string, files: Readonly<Record<string, RegExp>>): readonly Case[] {
  return Object.entries(files).map(([file, says]) => ({
    what: `${command} with the key file ${file}`,
    line: ({ registry }) => `${command} --key ${file} ${registry}/demo/app:v1`,
    exit: file === 'a-folder' || file === 'missing' || file === 'big' ? 3 : 2,
    says,
  }))
}

/** Command lines of `image copy` that are not taken. */
function imageCases(cases: Readonly<Record<string, RegExp>>, exit: 2 | 3 = 2): readonly Case[] {
  return Object.entries(cases).map(([line, says]) => ({
    what: `copying ${line}`,
    line: ({ registry, rogue: host }) =>
      `image copy ${line.replace('IMAGE', 'docker://REG/demo/app:v1').replaceAll('REG/', `${registry}/`).replace('ROGUE', host)}`,
    exit,
    says,
  }))
}

/** Those that cannot be done. */
function failedCases(cases: Readonly<Record<string, RegExp>>): readonly Case[] {
  return imageCases(cases, 3)
}

/** Command lines by what follows the command: exit status, and what is said. */
function lines(
  command: string,
  cases: Readonly<Record<string, readonly [exit: 2 | 3, says: RegExp]>>,
): readonly Case[] {
  return Object.entries(cases).map(([rest, [exit, says]]) => ({
    what: `${command} ${rest}`,
    line: ({ registry, rogue: host }) =>
      `${command} ${rest.replaceAll('REG/', `${registry}/`).replace('ROGUE/', `${host}/`)}`,
    exit,
    says,
  }))
}

function dockerfileCases(
  cases: Readonly<Record<string, readonly [exit: 2 | 3, says: RegExp]>>,
): readonly Case[] {
  return Object.entries(cases).map(([name, [exit, says]]) => ({
    what: `a Dockerfile: ${name}`,
    line: `image build -f ${name === 'garbage' || name === 'empty' ? name : `${name}.dockerfile`} app oci:new`,
    exit,
    says,
  }))
}

let sandbox: Sandbox
let servers: Sandbox
let rogue: RogueServer
let world: World
/** What is in the sandbox, as the last case left it. */
let files: readonly string[]

beforeAll(async () => {
  ;[sandbox, servers, rogue] = await Promise.all([Sandbox.create(), Sandbox.create(), startRogueServer()])
  const [registry, kbs] = await Promise.all([startRegistry(servers), startKbs(servers)])
  world = { registry, kbs, rogue: rogue.host }
  await cp(servers.path('kbs/admin.key'), sandbox.path('admin.key'))
  await writeFixtures()
  files = await listing(sandbox.dir)
})
afterAll(async () => {
  await Promise.all([sandbox.dispose(), servers.dispose(), rogue.close()])
})

describe('input that is refused', () => {
  it.each(CASES)('$what', async ({ line, password, exit, says, talks = false }) => {
    const text = typeof line === 'string' ? line : line(world)
    const outcome = await cosignet(sandbox, text.split(' '), password === undefined ? {} : { password })
    expect(outcome.stderr).toMatch(says)
    const ending = /^cosignet(?: [a-z-]+){0,2}: [^\n]+[.?]\n(?: {2}hint: [^\n]+\n)?$/m.exec(outcome.stderr)
    expect(outcome.stderr.slice(talks ? ending?.index : 0)).toBe(ending?.[0])
    expect(outcome.stderr).not.toMatch(/canary|\n +at /)
    expect(outcome).toMatchObject({ status: exit, stdout: '' })
    const before = files
    files = await listing(sandbox.dir)
    expect(files).toEqual(before)
  })

  it('a payload with another digest is no signature: denied, as every verifier would', async () => {
    const image = `${world.rogue}/lies-about-blob/app@${ROGUE_DIGEST}`
    const { status, stdout, stderr } = await cosignet(sandbox, [...VERIFY.split(' '), image])
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toMatch(/^DENIED /)
    expect(stdout).toMatch(/payload|digest/)
  })

  it.skipIf(process.getuid?.() === 0)('a folder that is read-only', async () => {
    await mkdir(sandbox.path('read-only'), { mode: 0o500 })
    const args = `${CREATE} ${URI} --out read-only/new.toml`.split(' ')
    expect(await cosignet(sandbox, args)).toMatchObject({
      status: 3,
      stdout: '',
      stderr: 'cosignet: The file "read-only/new.toml" cannot be written: permission denied.\n',
    })
    expect(await readdir(sandbox.path('read-only'))).toEqual([])
  })
})

async function writeFixtures(): Promise<void> {
  await sandbox.write('app/hello', 'hello\n')
  await cosignetDoes(sandbox, ['key', 'generate'])
  await cosignetDoes(sandbox, ['image', 'push', 'app', `${world.registry}/demo/app:v1`])
  const admin = ['--url', world.kbs, '--auth-private-key', 'admin.key']
  const resource = ['--path', 'default/there/it', '--resource-file', 'admin.key']
  await cosignetDoes(sandbox, ['kbs', 'set-resource', ...admin, ...resource])
  await mkdir(sandbox.path('a-folder'))

  const key = await sandbox.read('cosign.key')
  const pod = (annotation: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata:\n  name: demo\n  annotations:\n    ${ANNOTATION}: ${annotation}\nspec:\n  containers:\n    - name: app\n      image: demo/app\n`
  const goodToml = 'algorithm = "sha256"\nversion = "0.1.0"\n\n[data]\n"aa.toml" = ""\n'
  const fixtures: Readonly<Record<string, string | Uint8Array>> = {
    garbage: 'gar\u0007bage\n',
    empty: '',
    big: new Uint8Array(10 * 1024 * 1024),
    'cut.key': `${key.slice(0, 200)}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n`,
    'half.pub': 'mine\n',
    wrong: 'canary\n',
    'locked.pem': privatePem('P-256', 'secret'),
    'secp256k1.pem': privatePem('secp256k1'),
    'secp256k1.pub': createPublicKey(privatePem('secp256k1')).export({ type: 'spki', format: 'pem' }),
    'other.key': generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'run.dockerfile': 'FROM scratch\nRUN make\n',
    'unknown.dockerfile': 'FROM scratch\nFRMO scratch\n',
    'no-from.dockerfile': 'COPY hello /\n',
    'outside.dockerfile': 'FROM scratch\nCOPY ../cosign.key /\n',
    'not-there.dockerfile': 'FROM scratch\nCOPY nowhere /\n',
    'no-base.dockerfile': `FROM ${world.registry}/demo/missing\n`,
    'scratch.dockerfile': 'FROM scratch\n',
    'copy.dockerfile': 'FROM scratch\nCOPY hello /\n',
    'policy.json': '{"default":[{"type":"reject"}]}',
    'typo.json': '{"default":[{"type":"sigstoreSinged","keyPath":"kbs:///a/b/c"}]}',
    'good.toml': goodToml,
    'half.toml': '[data]\n"aa.toml" = ""\n',
    'cut.b64': gzipSync(goodToml).subarray(0, 30).toString('base64'),
    'pod.yaml': pod('""'),
    'not-base64.yaml': pod('"!!!!"'),
    'not-gzip.yaml': pod(Buffer.from('no gzip at all!').toString('base64')),
    'not-toml.yaml': pod(gzipSync('= no TOML').toString('base64')),
    'broken.yaml': 'kind: Pod\n\tmetadata: {\n',
    'laughs.yaml': `a: &a [1]\n${Array.from({ length: 12 }, (_, i) => `${letter(i + 1)}: &${letter(i + 1)} [${`*${letter(i)},`.repeat(9)}]\n`).join('')}`,
    'service.yaml': 'apiVersion: v1\nkind: Service\nmetadata:\n  name: demo\n',
    'no-containers.yaml': 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: demo\nspec:\n  containers: []\n',
  }
  for (const [name, content] of Object.entries(fixtures)) await sandbox.write(name, content)
  await chmod(sandbox.path('wrong'), 0o600)
}

function privatePem(namedCurve: string, passphrase?: string): string {
  const encryption = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  return generateKeyPairSync('ec', {
    namedCurve,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', ...encryption },
  }).privateKey
}

function letter(i: number): string {
  return String.fromCharCode(97 + i)
}
