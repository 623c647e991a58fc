import type { CommandEntry } from './router.ts'

/** Every command, in the order of the main job. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'key generate',
    brief: 'Make a key pair in the format of cosign or gpg',
    load: () => import('./commands/key-generate.ts'),
  },
  {
    name: 'key import',
    brief: 'Import a private key of another tool',
    load: () => import('./commands/key-import.ts'),
  },
  {
    name: 'key export',
    brief: 'Export a private key for other tools',
    load: () => import('./commands/key-export.ts'),
  },
  {
    name: 'key public',
    brief: 'Print the public key of a key',
    load: () => import('./commands/key-public.ts'),
  },
  {
    name: 'key inspect',
    brief: 'Show what a key is, and which verifiers accept it',
    load: () => import('./commands/key-inspect.ts'),
  },
  {
    name: 'image build',
    brief: 'Build an image from a Dockerfile that runs nothing',
    load: () => import('./commands/image-build.ts'),
  },
  {
    name: 'login',
    brief: 'Log in to a registry',
    load: () => import('./commands/login.ts'),
  },
  {
    name: 'logout',
    brief: 'Forget the login for a registry',
    load: () => import('./commands/logout.ts'),
  },
  {
    name: 'image push',
    brief: 'Push an OCI layout or a folder to a registry',
    load: () => import('./commands/image-push.ts'),
  },
  {
    name: 'image copy',
    brief: 'Copy an image with all that refers to it',
    load: () => import('./commands/image-copy.ts'),
  },
  {
    name: 'image inspect',
    brief: 'Show an image: platforms, layers, sizes, configuration',
    load: () => import('./commands/image-inspect.ts'),
  },
  {
    name: 'image list-tags',
    brief: 'List the tags of a repository',
    load: () => import('./commands/image-list-tags.ts'),
  },
  {
    name: 'image digest',
    brief: 'Print the digest that an image has now',
    load: () => import('./commands/image-digest.ts'),
  },
  {
    name: 'image delete',
    brief: 'Delete an image from a registry',
    load: () => import('./commands/image-delete.ts'),
  },
  {
    name: 'sign',
    brief: 'Sign images in the format that the guest reads',
    load: () => import('./commands/sign.ts'),
  },
  {
    name: 'verify',
    brief: 'Verify images with a public key, as cosign does',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'signatures',
    brief: 'Show what refers to an image, and who can verify it',
    load: () => import('./commands/signatures.ts'),
  },
  {
    name: 'register',
    brief: 'Hand a public key and a policy to a KBS',
    load: () => import('./commands/register.ts'),
  },
  {
    name: 'initdata create',
    brief: 'Write init data that binds a guest to a KBS and a policy',
    load: () => import('./commands/initdata-create.ts'),
  },
  {
    name: 'initdata inspect',
    brief: 'Show init data, its digest, and what each TEE reports',
    load: () => import('./commands/initdata-inspect.ts'),
  },
  {
    name: 'pod annotate',
    brief: 'Put init data into the annotation of a Pod',
    load: () => import('./commands/pod-annotate.ts'),
  },
  {
    name: 'preflight',
    brief: 'Tell what the guest will decide about a Pod, and why',
    load: () => import('./commands/preflight.ts'),
  },
  {
    name: 'kbs serve',
    brief: 'Serve a Key Broker Service from a folder',
    load: () => import('./commands/kbs-serve.ts'),
  },
  {
    name: 'kbs set-resource',
    brief: 'Store a file as a resource of a KBS',
    load: () => import('./commands/kbs-set-resource.ts'),
  },
  {
    name: 'kbs get-resource',
    brief: 'Read a resource from a KBS as a guest',
    load: () => import('./commands/kbs-get-resource.ts'),
  },
  {
    name: 'kbs delete-resource',
    brief: 'Delete a resource of a KBS',
    load: () => import('./commands/kbs-delete-resource.ts'),
  },
  {
    name: 'registry serve',
    brief: 'Serve an OCI registry from memory or a folder',
    load: () => import('./commands/registry-serve.ts'),
  },
]
