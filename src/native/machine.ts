// What kind of machine this is, and whether this package's native files can be opened on it at all.

export interface Machine {
  platform: string
  arch: string
  /** "2.36"; undefined where libc is not glibc. */
  glibc: string | undefined
  /** "Node 20.20.0" or "Bun 1.4.5". */
  runtime: string
}

/** What stands in the way of a package, and what to do about it. */
export interface Obstacle {
  problem: string
  remedy: string
}

/** The glibc that libtorch's wheels (manylinux_2_28) need. */
const oldestGlibc = [2, 28] as const

/** This machine, as the running program sees it. Takes some milliseconds: for errors and doctor. */
export function thisMachine(): Machine {
  const { bun, node } = process.versions
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: glibcVersion(),
    runtime: bun ? `Bun ${bun}` : `Node ${node}`,
  }
}

function glibcVersion(): string | undefined {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
  return report?.header?.glibcVersionRuntime
}

/** "linux x64, glibc 2.36, Node 20.20.0" */
export function describeMachine({ platform, arch, glibc, runtime }: Machine): string {
  const libc = platform === 'linux' ? [glibc ? `glibc ${glibc}` : 'no glibc'] : []
  return [`${platform} ${arch}`, ...libc, runtime].join(', ')
}

/** Why nothing of this package can run here; undefined where it can. */
export function machineObstacle({ platform, arch, glibc }: Machine): Obstacle | undefined {
  if (platform === 'win32') {
    return {
      problem: 'there are no native files for Windows',
      remedy: 'Use WSL 2 (wsl --install) and install it in there: GPUs are seen there too.',
    }
  }
  if (platform !== 'linux') {
    const name = platform === 'darwin' ? 'macOS' : platform
    return {
      problem: `there are no native files for ${name}`,
      remedy: 'Use a Linux machine or a Linux container on x86-64.',
    }
  }
  if (arch !== 'x64') {
    return {
      problem: `there are no native files for ${arch}, and the sources do not compile for it`,
      remedy: 'Use a machine with an x86-64 processor.',
    }
  }
  if (glibc === undefined) {
    return {
      problem: 'this Linux has no glibc (musl, as Alpine has), which libtorch is built for',
      remedy: 'Use a Linux with glibc: an image such as node:22-bookworm-slim in place of node:22-alpine.',
    }
  }
  const [major, minor] = glibc.split('.').map(Number) as [number, number]
  if (major < oldestGlibc[0] || (major === oldestGlibc[0] && minor < oldestGlibc[1])) {
    const remedy = 'Use a newer system (Debian 10, Ubuntu 20.04, RHEL 8 or later), or a container of one.'
    return { problem: `glibc ${glibc} is too old: libtorch needs ${oldestGlibc.join('.')}`, remedy }
  }
  return undefined
}
