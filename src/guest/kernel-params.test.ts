import { describe, expect, it } from 'vitest'
import { parseKbcParams, parseKernelParams } from './kernel-params.ts'

describe('parseKernelParams', () => {
  it('reads the annotation of the guide', () => {
    expect(
      parseKernelParams(
        'agent.aa_kbc_params=cc_kbc::http://kbs.example:8080 agent.image_policy_file=kbs:///default/security-policy/test agent.enable_signature_verification=true',
      ),
    ).toEqual({
      aaKbcParams: 'cc_kbc::http://kbs.example:8080',
      imagePolicyFile: 'kbs:///default/security-policy/test',
      enableSignatureVerification: true,
      imageRegistryAuth: undefined,
      proxy: undefined,
      credentials: [],
    })
  })

  it('reads what stands between other parameters and any white space', () => {
    const params = parseKernelParams(
      'BOOT_IMAGE=/boot/vmlinuz ro vga=792 \t agent.no_proxy=localhost   \n agent.image_registry_auth=kbs:///a/b/c agent.https_proxy=http://1.2.3.4:1234 cdh.kbs_resources=kbs:///default/key/1::/run/a,broken,kbs:///default/key/2::/run/b',
    )
    expect(params.proxy).toEqual({ https: 'http://1.2.3.4:1234', http: undefined, no: 'localhost' })
    expect(params.imageRegistryAuth).toBe('kbs:///a/b/c')
    expect(params.credentials).toEqual([
      { resourceUri: 'kbs:///default/key/1', path: '/run/a' },
      { resourceUri: 'kbs:///default/key/2', path: '/run/b' },
    ])
  })

  it.each(['True', '1', 'yes', '"true"', ''])('takes %j as no signature verification', (value) => {
    const params = parseKernelParams(`agent.enable_signature_verification=${value}`)
    expect(params.enableSignatureVerification).toBe(false)
  })

  it('takes the last policy and the first KBS, as the two readers do', () => {
    const params = parseKernelParams(
      'agent.image_policy_file=a agent.image_policy_file=b agent.aa_kbc_params=a agent.aa_kbc_params=b',
    )
    expect(params.imagePolicyFile).toBe('b')
    expect(params.aaKbcParams).toBe('a')
  })
})

describe('parseKbcParams', () => {
  it('takes name and URL apart', () => {
    expect(parseKbcParams('cc_kbc::https://kbs')).toEqual({ name: 'cc_kbc', url: 'https://kbs' })
    expect(parseKbcParams('offline_fs_kbc::')).toEqual({ name: 'offline_fs_kbc', url: '' })
  })

  it.each(['', 'cc_kbc', 'cc_kbc:https://kbs', 'cc_kbc::http://[fd00::1]:8080'])('refuses %j', (params) => {
    expect(() => parseKbcParams(params)).toThrowError(
      expect.objectContaining({
        code: 'INVALID_CONFIG',
        message: `agent.aa_kbc_params is not valid: CDH stops with "illegal aa_kbc_params format: ${params}".`,
      }),
    )
  })
})
