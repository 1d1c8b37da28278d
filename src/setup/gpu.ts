// NVIDIA's driver and GPUs as the system tells of them, without opening libtorch.
import { readFile } from 'node:fs/promises'
import { hasCode } from '../errors.js'
import { run } from './run.js'

export interface Gpu {
  name: string
  /** Bytes. */
  memory: number
  /** "9.0" */
  capability: string
}

export interface Gpus {
  /** "580.65.06"; undefined without a driver. */
  driver: string | undefined
  gpus: Gpu[]
  /** Why nvidia-smi gave no answer although there is a driver. */
  problem?: string
}

/** Driver and GPUs. */
export async function findGpus(env: NodeJS.ProcessEnv = process.env): Promise<Gpus> {
  const kernel = await kernelDriver()
  const query = ['--query-gpu=driver_version,name,memory.total,compute_cap', '--format=csv,noheader,nounits']
  try {
    const { code, output } = await run('nvidia-smi', query, { env })
    if (code !== 0) return { driver: kernel, gpus: [], ...(kernel && { problem: output.trim().slice(0, 300) }) }
    const { driver, gpus } = parseQuery(output)
    return { driver: driver ?? kernel, gpus }
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EACCES')) throw error
    return { driver: kernel, gpus: [], ...(kernel && { problem: 'nvidia-smi is not installed' }) }
  }
}

/** Lines "580.65.06, NVIDIA H100 80GB HBM3, 81559, 9.0": memory in MiB. */
export function parseQuery(output: string): { driver: string | undefined; gpus: Gpu[] } {
  const rows = output.split('\n').flatMap((line) => {
    const fields = line.split(',').map((field) => field.trim())
    return fields.length === 4 && /^\d+\./.test(fields[0]!) ? [fields as [string, string, string, string]] : []
  })
  return {
    driver: rows[0]?.[0],
    gpus: rows.map(([, name, memory, capability]) => ({ name, memory: Number(memory) * 2 ** 20, capability })),
  }
}

async function kernelDriver(): Promise<string | undefined> {
  try {
    return /\s(\d+\.\d+(\.\d+)?)\s/.exec(await readFile('/proc/driver/nvidia/version', 'utf8'))?.[1]
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'EACCES')) return undefined
    throw error
  }
}

/** Lowest driver that runs a build of torch for this CUDA; NVIDIA's table of minor version compatibility. */
const lowestDriver: Record<string, number> = { '11': 450, '12': 525, '13': 580 }

/**
 * Why `driver` cannot run this torch, undefined where it can or nothing is known.
 * @param torch version with its local part: "2.11.0+cu130"
 */
export function driverProblem(driver: string, torch: string | undefined): string | undefined {
  const cuda = /\+cu(\d\d)\d/.exec(torch ?? '')?.[1]
  const needed = cuda && lowestDriver[cuda]
  if (!needed || Number.parseInt(driver, 10) >= needed) return undefined
  return `torch ${torch} needs driver ${needed} or later; this is ${driver}`
}
