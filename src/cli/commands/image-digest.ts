import { asJson } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText } from '../flags.ts'
import { formatLocation } from '../image-access.ts'
import { ONE_IMAGE_FLAGS, type OneImageFlags, withImage } from '../one-image.ts'

export const command = defineCommand<OneImageFlags, [string]>({
  brief: 'Prints the digest that an image has now.',
  details: 'IMAGE is docker://REFERENCE, oci:FOLDER[:NAME] or any other place that image copy knows.',
  parameters: {
    flags: ONE_IMAGE_FLAGS,
    positional: oneText('IMAGE', 'Image whose digest is wanted; of an index, that of the index'),
  },
  run: (cli, flags, name) =>
    withImage(cli, flags, name, async ({ source, from }, location) => {
      const { digest, mediaType, bytes } = await source.getManifest(from, cli.signal)
      const image = formatLocation(location)
      return { exit: 0, data: asJson({ image, digest, mediaType, size: bytes.byteLength }), text: digest }
    }),
})
