// What to compute on and in which precision: "auto" made concrete. Training and generation choose alike.
import { availableParallelism } from 'node:os'
import type { CoreInfo, Dtype, Runtime } from '../../binding.js'
import { coreInfo, defaultDtype, openRuntime } from '../native/runtime.js'

/** Type of weights and activations: FP32, BF16, FP16. */
export type Precision = 'fp32' | 'bf16' | 'fp16'

export interface MachineOptions {
  device: 'auto' | 'cpu' | 'cuda'
  precision: 'auto' | Precision
  /** 0: all cores that this process may use. */
  threads: number
}

/** A runtime with what was chosen for it. */
export interface Machine {
  runtime: Runtime
  device: 'cpu' | 'cuda'
  precision: Precision
  /** Type the frozen weights are held in. */
  dtype: Dtype
  threads: number
  /** For a person: "libtorch 2.11.0, AVX512, AMX BF16". */
  detail: string
  /** What does not serve here though it is there: libbt_cuda. */
  warning?: string
}

/** Type the frozen weights are held in. */
export const precisionDtypes: Record<Precision, Dtype> = { fp32: 'float32', bf16: 'bfloat16', fp16: 'float16' }

/**
 * Opens libtorch and a runtime; the caller closes the runtime.
 * @throws {BtError} BT_LIBTORCH_NOT_FOUND, BT_ADDON_NOT_FOUND, BT_CUDA and what else opening them throws
 */
export async function openMachine({ device, precision, threads }: MachineOptions): Promise<Machine> {
  const runtime = await openRuntime({ device, threads })
  const info = coreInfo()
  const chosen = precision === 'auto' ? bestPrecision(runtime.device, info) : precision
  return {
    runtime,
    device: runtime.device,
    precision: chosen,
    dtype: precisionDtypes[chosen],
    threads: threads || availableParallelism(),
    detail: [`libtorch ${info.torch}`, ...abilities(runtime.device, info)].join(', '),
    warning: runtime.device === 'cuda' ? kernelsProblem(info) : undefined,
  }
}

/** BF16 where the device multiplies it natively (CUDA: compute capability 8 and later); on older GPUs FP16. */
function bestPrecision(device: 'cpu' | 'cuda', info: CoreInfo): Precision {
  if (device === 'cuda') return Number(info.cuda[0]?.capability.split('.')[0]) >= 8 ? 'bf16' : 'fp16'
  return defaultDtype(info) === 'bfloat16' ? 'bf16' : 'fp32'
}

function kernelsProblem({ cudaKernels }: CoreInfo): string | undefined {
  if (!cudaKernels?.problem) return undefined
  return `${cudaKernels.path} is not used, libtorch's operators are: ${cudaKernels.problem}`
}

function abilities(device: 'cpu' | 'cuda', info: CoreInfo): string[] {
  if (device === 'cuda') return [info.cuda[0]?.name ?? 'CUDA']
  return [info.cpuCapability, info.amxBf16 ? 'AMX BF16' : info.avx512Bf16 ? 'AVX-512 BF16' : ''].filter(Boolean)
}
