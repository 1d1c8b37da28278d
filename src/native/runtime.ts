// Runtimes as the rest of the package uses them: the native objects of binding.d.ts, whose errors arrive as BtError.
// Nothing is loaded before the first call.
import type { CoreInfo, Dtype, Runtime } from '../../binding.js'
import { openedAhead } from './ahead.js'
import { asBtError, driverPresent, type Loaded, type LoadOptions, loadCore, loadLoader, native } from './load.js'
import { noCuda } from './no-cuda.js'

export type * from '../../binding.js'

/** Which libtorch, device and threads. */
export interface RuntimeOptions extends LoadOptions {
  /** 'auto' (the default) takes CUDA where libtorch has it and a device answers, else the CPU. */
  device?: 'auto' | 'cpu' | 'cuda'
  /** Which CUDA device; 0 by default. */
  deviceIndex?: number
  /** OpenMP threads; 0 (the default) takes the cores that this process may use. */
  threads?: number
}

/** A runtime that is open: `await using` closes it. */
export type OpenRuntime = Runtime & AsyncDisposable & { readonly device: 'cpu' | 'cuda' }

/**
 * Starts a runtime: a worker thread on one device, with everything of binding.d.ts behind it. Close it when done
 * (`await using` does); one that is forgotten is closed when collected.
 * @throws {BtError} what loadCore() throws, BT_CUDA when 'cuda' is asked for and no device answers, BT_ARGUMENT
 */
export async function openRuntime(options: RuntimeOptions = {}): Promise<OpenRuntime> {
  await openedAhead()
  const loaded = loadCore(options)
  const { core } = loaded
  const device = chooseDevice(loaded, options.device ?? 'auto')
  const runtime = native(() =>
    core.openRuntime({ device, deviceIndex: options.deviceIndex ?? 0, threads: options.threads ?? 0 }),
  )
  return Object.assign(wrapped(runtime) as Runtime & AsyncDisposable, { device })
}

/** What the core was built against and what this machine can do. @throws {BtError} what loadCore() throws */
export function coreInfo(options: LoadOptions = {}): CoreInfo {
  return native(() => loadCore(options).core.info())
}

/** The type to hold frozen weights in on this processor: bfloat16 where it multiplies that natively, else float32. */
export function defaultDtype(info: CoreInfo): Dtype {
  return info.avx512Bf16 || info.amxBf16 ? 'bfloat16' : 'float32'
}

/** Takes flock(2)'s exclusive lock. @returns false when another process holds it. Goes with the file descriptor. */
export function lockFile(fd: number): boolean {
  return native(() => loadLoader().loader.lock(fd))
}

/** Gives back lockFile()'s lock. */
export function unlockFile(fd: number): void {
  native(() => loadLoader().loader.unlock(fd))
}

function chooseDevice({ core, libtorch, cudaProblem }: Loaded, wanted: 'auto' | 'cpu' | 'cuda'): 'cpu' | 'cuda' {
  if (wanted === 'cpu') return 'cpu'
  const devices = core.info().cudaDevices
  if (wanted === 'cuda' && devices === 0) {
    throw noCuda({
      libtorch: libtorch.path,
      cudaBuild: libtorch.cuda,
      driver: driverPresent(),
      problem: cudaProblem,
      visible: process.env.CUDA_VISIBLE_DEVICES,
    })
  }
  return devices > 0 ? 'cuda' : 'cpu'
}

/** The native object behind each wrapper: calls that take an object (a Lora) are handed that. */
const natives = new WeakMap<object, object>()

type Methods = Record<string, (...values: unknown[]) => unknown>

/** An object with the methods of `target`, whose promises reject and whose calls throw with BtError. */
function wrapped<T extends object>(target: T): T & AsyncDisposable {
  const methods = target as unknown as Methods
  const wrapper: Methods & Partial<AsyncDisposable> = {}
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(target))) {
    if (name === 'constructor') continue
    wrapper[name] = (...values) => {
      const result = native(() => methods[name]!(...values.map(unwrapped)))
      return result instanceof Promise ? settled(result) : result
    }
  }
  wrapper[Symbol.asyncDispose] = () => wrapper.close!() as Promise<void>
  natives.set(wrapper, target)
  return wrapper as unknown as T & AsyncDisposable
}

function unwrapped(value: unknown): unknown {
  return (typeof value === 'object' && value !== null && natives.get(value)) || value
}

/** Awaiting here, inside an async function, gives the error the stack of the caller. */
async function settled(promise: Promise<unknown>): Promise<unknown> {
  try {
    const value = await promise
    return isNativeObject(value) ? wrapped(value) : value
  } catch (error) {
    throw asBtError(error)
  }
}

/** Model, Lora, Trainer and Sampler have a class of their own with close(); results are plain objects and arrays. */
function isNativeObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'close' in value
}
