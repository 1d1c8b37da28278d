// What the processor can do, as the system tells of it: without libtorch. coreInfo() asks the processor itself.
import { readFileSync } from 'node:fs'

export interface ProcessorInfo {
  /** "AMD EPYC 9R14", or "unknown". */
  name: string
  avx512: boolean
  avx512Bf16: boolean
  amxBf16: boolean
}

/** @param text of /proc/cpuinfo, which lists what the kernel lets programs use */
export function readProcessor(text = readFileSync('/proc/cpuinfo', 'utf8')): ProcessorInfo {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/))
  const avx512 = ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'].every((flag) => flags.has(flag))
  return {
    name: /^model name\s*:\s*(.+)$/m.exec(text)?.[1]?.trim() ?? 'unknown',
    avx512,
    avx512Bf16: avx512 && flags.has('avx512_bf16'),
    amxBf16: flags.has('amx_tile') && flags.has('amx_bf16'),
  }
}
