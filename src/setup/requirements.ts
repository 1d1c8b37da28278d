// Which NVIDIA wheels a torch wheel needs, read from METADATA. No download, no file.
import { normalizeName, type WheelSpec } from './pip.js'

export interface Requirement {
  name: string
  extras: string[]
  /** "13.0.96", "13.0.96.*"; undefined when not pinned. */
  version: string | undefined
  /** The `extra == "..."` that it belongs to. */
  extra: string | undefined
}

/** The Requires-Dist lines of METADATA that concern Linux on this processor. */
export function parseRequirements(metadata: string, arch: string = process.arch): Requirement[] {
  const requirements: Requirement[] = []
  for (const line of metadata.split(/\r?\n/)) {
    if (line === '') break // the description follows the headers
    const match = /^Requires-Dist:\s*([\w.-]+)\s*(?:\[([^\]]*)\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?$/.exec(line)
    if (!match) continue
    const marker = match[4] ?? ''
    if (!machineFits(marker, arch)) continue
    requirements.push({
      name: normalizeName(match[1]!),
      extras: (match[2] ?? '').split(',').flatMap((extra) => extra.trim() || []),
      version: /^\s*==\s*([\w.+*]+)\s*$/.exec(match[3]!)?.[1],
      extra: /extra\s*==\s*['"]([^'"]+)['"]/.exec(marker)?.[1],
    })
  }
  return requirements
}

/** The markers that torch's and NVIDIA's wheels use: system and machine, joined by and/or. */
function machineFits(marker: string, arch: string): boolean {
  const machine = arch === 'arm64' ? 'aarch64' : 'x86_64'
  return marker
    .split(/\bor\b/)
    .some((part) =>
      [...part.matchAll(/(platform_system|sys_platform|platform_machine)\s*(==|!=)\s*['"]([^'"]+)['"]/g)].every(
        ([, variable, operator, value]) =>
          (value === { platform_system: 'Linux', sys_platform: 'linux', platform_machine: machine }[variable!]) ===
          (operator === '=='),
      ),
    )
}

/** What the core library of a Linux torch wheel needs even on the CPU: CUDA's runtime and its profiling interface. */
const cpuWheels = /^nvidia-cuda-(runtime|cupti)(-cu\d+)?$/
const cpuExtras = ['cudart', 'cupti']

/** NVIDIA wheels that `metadata` names outright: all of them for CUDA, two of them for the CPU. */
export function nvidiaWheels(metadata: string, device: 'cpu' | 'cuda', arch?: string): WheelSpec[] {
  return parseRequirements(metadata, arch).flatMap(({ name, version, extra }) =>
    extra === undefined && version && name.startsWith('nvidia-') && (device === 'cuda' || cpuWheels.test(name))
      ? { name, version }
      : [],
  )
}

/** cuda-toolkit and its wanted extras, where torch (2.11 and later) pins NVIDIA's wheels through it. */
export function cudaToolkit(
  metadata: string,
  device: 'cpu' | 'cuda',
  arch?: string,
): { spec: WheelSpec; extras: string[] } | undefined {
  const found = parseRequirements(metadata, arch).find(({ name, extra }) => name === 'cuda-toolkit' && !extra)
  if (!found?.version) return undefined
  const extras = device === 'cuda' ? found.extras : found.extras.filter((extra) => cpuExtras.includes(extra))
  return { spec: { name: found.name, version: found.version }, extras }
}

/** NVIDIA wheels that cuda-toolkit's own METADATA pins for `extras`. */
export function toolkitWheels(metadata: string, extras: string[], arch?: string): WheelSpec[] {
  return parseRequirements(metadata, arch).flatMap(({ name, version, extra }) =>
    extra !== undefined && extras.includes(extra) && version ? { name, version } : [],
  )
}
