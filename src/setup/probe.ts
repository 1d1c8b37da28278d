// A program of its own that doctor starts: opens libtorch and the core, and says on stdout what came of it. Apart,
// because a libtorch that does not fit can end the process that opens it.
import type { CoreInfo } from '../../binding.js'
import { BtError, messageOf } from '../errors.js'
import { loadCore } from '../native/load.js'
import { defaultDtype, openRuntime } from '../native/runtime.js'

/** What the probe writes, as one line of JSON. */
export type ProbeResult =
  | {
      opened: true
      /** Path of the core. */
      core: string
      info: CoreInfo
      cudaProblem?: string
      /** To open everything, milliseconds. */
      milliseconds: number
      /** Type that weights are held in on this processor. */
      dtype: 'float32' | 'bfloat16' | 'float16'
      /** TFLOP/s of a product of that type on the CPU. */
      teraflops: number
    }
  | { opened: false; code: string | undefined; message: string; remedy: string | undefined }

async function probe(): Promise<ProbeResult> {
  try {
    const start = performance.now()
    const { core, corePath, cudaProblem } = loadCore()
    const info = core.info()
    const milliseconds = performance.now() - start
    const dtype = defaultDtype(info)
    const runtime = await openRuntime({ device: 'cpu' })
    const teraflops = await runtime.measureGemm(dtype)
    await runtime.close()
    return { opened: true, core: corePath, info, cudaProblem, milliseconds, dtype, teraflops }
  } catch (error) {
    const known = error instanceof BtError ? error : undefined
    return { opened: false, code: known?.code, message: messageOf(error), remedy: known?.remedy }
  }
}

/** Asks for the probe's result by running this file in a process of its own; `probeFlag` tells it to. */
export const probeFlag = '--bt-native-probe'

if (process.argv.includes(probeFlag)) {
  probe().then((result) => process.stdout.write(`\n${JSON.stringify(result)}\n`))
}
