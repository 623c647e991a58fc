import { stat } from 'node:fs/promises'
import { CosignetError, decodeUtf8, encodeUtf8, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import { encodeAnnotation, INITDATA_ANNOTATION, parseInitData } from '../../guest/index.ts'
import { setPodAnnotation } from '../../workload/index.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText, textFlag } from '../flags.ts'
import { initDataJson } from '../initdata-text.ts'
import { writeOutputFile } from '../output-file.ts'

interface Flags {
  readonly initdata: string
  readonly workload?: string | undefined
  readonly out?: string | undefined
}

export const command = defineCommand<Flags, [string]>({
  brief: 'Puts init data into the annotation of a Pod, or of the Pod template of a workload.',
  details: 'Changes the file in place, and in it that one line alone; --out leaves the file as it is.',
  parameters: {
    flags: {
      initdata: textFlag('Init data, TOML', 'FILE'),
      workload: optionalText('Name of the workload, where the file has several', 'NAME'),
      out: optionalText('Write to this file instead', 'FILE'),
    },
    positional: oneText('MANIFEST', 'Kubernetes manifest, YAML or JSON'),
  },
  async run(_cli, flags, path) {
    const bytes = await readFileBounded(flags.initdata, LIMITS.initdataBytes, 'init data')
    const initData = parseInitData(bytes, `The init data ${quote(flags.initdata)}`)
    const text = decodeUtf8(await readFileBounded(path, LIMITS.workloadBytes, 'manifest'))
    if (text === undefined)
      throw new CosignetError('INVALID_YAML', `The manifest ${quote(path)} is not UTF-8 text.`)
    const options = flags.workload === undefined ? {} : { workload: flags.workload }
    const annotated = setPodAnnotation(text, INITDATA_ANNOTATION, encodeAnnotation(bytes), options)
    const out = flags.out ?? path
    await write(out, encodeUtf8(annotated))
    return {
      exit: 0,
      data: { file: out, annotation: INITDATA_ANNOTATION, initData: initDataJson(initData) },
      text: `Set ${INITDATA_ANNOTATION} in ${out}`,
    }
  },
})

/** Who may read a file of that name may read the new one. */
async function write(path: string, bytes: Uint8Array): Promise<void> {
  const mode = await stat(path).then(
    (found) => found.mode & 0o777,
    () => 0o644,
  )
  await writeOutputFile(path, bytes, { mode })
}
