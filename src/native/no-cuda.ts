// Why no GPU can be used, from what is known without one.
import { BtError } from '../errors.js'
import { ranked } from './explain.js'

export interface CudaSituation {
  /** Folder of the open libtorch. */
  libtorch: string
  /** Whether libtorch_cuda.so lies there. */
  cudaBuild: boolean
  /** Whether the kernel's driver is loaded. */
  driver: boolean
  /** What dlopen said of libtorch_cuda.so. */
  problem?: string
  /** CUDA_VISIBLE_DEVICES */
  visible?: string
}

/** The error for `device: 'cuda'` where libtorch sees no device: each reason that is known, most likely first. */
export function noCuda({ libtorch, cudaBuild, driver, problem, visible }: CudaSituation): BtError {
  const hidden = visible !== undefined && /^\s*(-1.*)?$/.test(visible)
  const reasons: [boolean, string, string][] = [
    [
      !driver,
      'no NVIDIA driver is loaded (neither /proc/driver/nvidia/version nor /dev/dxg is there)',
      "Install NVIDIA's driver; in a container, start it with --gpus all and the NVIDIA Container Toolkit.",
    ],
    [!cudaBuild, `${libtorch} is a build for the CPU`, 'npx bt-native setup --device cuda   provides one with CUDA.'],
    [hidden, `CUDA_VISIBLE_DEVICES="${visible}" hides every GPU`, 'Unset CUDA_VISIBLE_DEVICES.'],
    [
      problem !== undefined,
      `libtorch_cuda.so does not open: ${problem}`,
      'npx bt-native setup --device cuda   provides a whole one.',
    ],
  ]
  const found = reasons.filter(([holds]) => holds)
  const why = found.length > 0 ? found.map(([, reason]) => reason).join('; ') : 'libtorch sees none'
  const unknown =
    found.length === 0 ? 'Check the driver with nvidia-smi: it may be too old for this libtorch.' : undefined
  return new BtError('BT_CUDA', `no CUDA device can be used by this process: ${why}`, {
    remedy: ranked(...found.map(([, , remedy]) => remedy), unknown, 'npx bt-native doctor   tells what was found.'),
  })
}
