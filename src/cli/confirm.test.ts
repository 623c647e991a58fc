import { PassThrough } from 'node:stream'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { confirm } from './confirm.ts'

afterEach(() => vi.unstubAllGlobals())

describe('confirm', () => {
  it.each([
    ['y', true],
    ['Y', true],
    ['yes', true],
    [' YES ', true],
    ['', false],
    ['n', false],
    ['yep', false],
    ['no, yes', false],
  ])('takes %j for %s', async (answer, agreed) => {
    const shown = type(`${answer}\n`)
    expect(await confirm(quietCli({ interactive: true }), 'Delete it?', '--yes')).toBe(agreed)
    expect(shown()).toBe('Delete it? [y/N] ')
  })

  it('is stopped by Ctrl-C', async () => {
    type('')
    const signal = AbortSignal.timeout(1)
    await expect(
      confirm(quietCli({ interactive: true, signal }), 'Delete it?', '--yes'),
    ).rejects.toMatchObject({
      name: 'AbortError',
    })
  })

  it('takes no answer for none where nobody sits', async () => {
    type('y\n')
    await expect(confirm(quietCli(), 'Delete it?', '--yes')).rejects.toMatchObject({
      code: 'USAGE',
      hint: 'Give --yes to go on without being asked.',
    })
  })
})

/** Lets somebody type. @returns what was shown */
function type(text: string): () => string {
  const [stdin, stderr] = [new PassThrough(), new PassThrough()]
  let shown = ''
  stderr.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
  })
  stdin.write(text)
  vi.stubGlobal('process', Object.create(process, { stdin: { value: stdin }, stderr: { value: stderr } }))
  return () => shown
}
