// What a run is measured on: processor, its abilities, memory, and the precision that fits them.
import { readFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { coreInfo, defaultDtype } from '../dist/native/runtime.js'

export const dtypes = { fp32: 'float32', bf16: 'bfloat16' }

/**
 * @param precision 'fp32', 'bf16', or undefined for the one that bt-native takes by itself here
 * @param device 'cpu' or 'cuda'
 */
export function describeMachine({ precision, threads, device = 'cpu' }) {
  const info = coreInfo({ device })
  const gpu = device === 'cuda' ? info.cuda[0] : undefined
  if (device === 'cuda' && !gpu) throw new Error('--device cuda: libtorch sees no GPU here')
  const chosen = precision ?? (gpu || defaultDtype(info) === 'bfloat16' ? 'bf16' : 'fp32')
  if (dtypes[chosen] === undefined) throw new Error(`--precision ${chosen}: fp32 or bf16 was expected`)
  return {
    processor: /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    threads,
    device,
    gpu: gpu?.name,
    precision: chosen,
    dtype: dtypes[chosen],
    torch: info.torch,
    cpuCapability: info.cpuCapability,
    avx512Bf16: info.avx512Bf16,
    amxBf16: info.amxBf16,
  }
}

/** For a person: "AMD EPYC, 2 threads, BF16, AVX512 with AVX512_BF16, torch 2.11.0". */
export function machineLine({ gpu, processor, threads, precision, cpuCapability, avx512Bf16, amxBf16, torch }) {
  if (gpu) return `${gpu}, ${precision.toUpperCase()}, torch ${torch}`
  const abilities = [avx512Bf16 && 'AVX512_BF16', amxBf16 && 'AMX'].filter(Boolean).join(' and ')
  const level = abilities ? `${cpuCapability} with ${abilities}` : `${cpuCapability} without AVX512_BF16 or AMX`
  return `${processor}, ${threads} threads, ${precision.toUpperCase()}, ${level}, torch ${torch}`
}
