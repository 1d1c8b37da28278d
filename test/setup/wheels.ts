// Small wheels made on the spot: zip archives with METADATA and RECORD, as pip and the set-up read them.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateRawSync } from 'node:zlib'

export interface FakeWheel {
  name: string
  version: string
  tag: string
  requires?: string[]
  files: Record<string, string | Buffer>
  /** Members whose bytes differ from what RECORD says. */
  tampered?: string[]
}

/** Writes the wheel into `folder` and returns its path. */
export function writeWheel(folder: string, wheel: FakeWheel): string {
  const base = `${wheel.name.replaceAll('-', '_')}-${wheel.version}`
  const info = `${base}.dist-info`
  const requires = (wheel.requires ?? []).map((line) => `Requires-Dist: ${line}\n`).join('')
  const files: Record<string, Buffer> = {}
  const add = (path: string, content: string | Buffer) => {
    files[path] = Buffer.from(content)
  }
  for (const [path, content] of Object.entries(wheel.files)) add(path, content)
  add(
    `${info}/METADATA`,
    `Metadata-Version: 2.1\nName: ${wheel.name}\nVersion: ${wheel.version}\n${requires}\nRequires-Dist: not-a-header==1\n`,
  )
  add(`${info}/WHEEL`, `Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: ${wheel.tag}\n`)
  const record = Object.entries(files).map(([path, content]) => {
    const hash = createHash('sha256').update(content).digest('base64url')
    return `${path.includes(',') ? `"${path}"` : path},sha256=${hash},${content.length}`
  })
  add(`${info}/RECORD`, [...record, `${info}/RECORD,,`, ''].join('\n'))
  for (const path of wheel.tampered ?? []) files[path] = Buffer.from(files[path]!.map((byte) => byte ^ 1))
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${base}-${wheel.tag}.whl`)
  writeFileSync(path, zip(files))
  return path
}

/** A zip archive; PKWARE's APPNOTE 4.3, without zip64. */
function zip(files: Record<string, Buffer>): Buffer {
  const locals: Buffer[] = []
  const central: Buffer[] = []
  let offset = 0
  for (const [path, content] of Object.entries(files)) {
    const name = Buffer.from(path)
    const packed = deflateRawSync(content)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0) // version needed
    common.writeUInt16LE(8, 4) // deflate
    common.writeUInt32LE(crc32(content), 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(content.length, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, name, packed])
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(offset, 10)
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, rest, name]))
    locals.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(central.length, 8)
  end.writeUInt16LE(central.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}

const torchTag = 'cp312-cp312-manylinux_2_28_x86_64'

/** Wheels laid out as torch 2.11's: NVIDIA's are pinned through cuda-toolkit. */
export function writeTorch211(folder: string): string {
  writeWheel(folder, {
    name: 'cuda-toolkit',
    version: '13.0.2',
    tag: 'py3-none-any',
    requires: [
      `nvidia-cuda-runtime==13.0.96.*; (sys_platform == 'linux' or sys_platform == 'win32') and extra == 'cudart'`,
      `nvidia-cuda-cupti==13.0.85.*; sys_platform == 'linux' and platform_machine == 'x86_64' and extra == 'cupti'`,
      `nvidia-cublas==13.1.0.3.*; (sys_platform == 'linux') and extra == 'cublas'`,
      `nvidia-npp==13.0.1.2.*; (sys_platform == 'linux') and extra == 'npp'`,
    ],
    files: {},
  })
  writeNvidia(folder, 'nvidia-cuda-runtime', '13.0.96', 'manylinux2014_x86_64', 'cu13/lib/libcudart.so.13')
  writeNvidia(folder, 'nvidia-cuda-cupti', '13.0.85', 'manylinux_2_25_x86_64', 'cu13/lib/libcupti.so.13')
  writeNvidia(folder, 'nvidia-cublas', '13.1.0.3', 'manylinux_2_27_x86_64', 'cu13/lib/libcublas.so.13')
  writeNvidia(folder, 'nvidia-nccl-cu13', '2.28.9', 'manylinux_2_18_x86_64', 'nccl/lib/libnccl.so.2')
  return writeWheel(folder, {
    name: 'torch',
    version: '2.11.0',
    tag: torchTag,
    requires: [
      'sympy>=1.13.3',
      'cuda-toolkit[cublas,cudart,cupti]==13.0.2; platform_system == "Linux"',
      'nvidia-nccl-cu13==2.28.9; platform_system == "Linux"',
      'nvidia-windows-only==1.0; platform_system == "Windows"',
      'triton==3.6.0; platform_system == "Linux"',
    ],
    files: {
      'torch/__init__.py': 'raise RuntimeError("not wanted")',
      'torch/version.py': "__version__ = '2.11.0+cu130'\n",
      'torch/lib/libtorch_cpu.so': Buffer.alloc(300_000, 'cpu'),
      'torch/lib/libc10.so': 'c10',
      'torch/lib/libgomp.so.1': 'gomp',
      'torch/lib/libtorch_cuda.so': 'cuda',
      'torch/lib/libtorch_python.so': 'python',
      'torch/include/ATen/ATen.h': '#pragma once\n',
      'torch/include/odd, name.h': '#pragma once\n',
    },
  })
}

/** Wheels laid out as torch 2.9's: NVIDIA's are named outright. */
export function writeTorch29(folder: string, tampered: string[] = []): string {
  writeNvidia(
    folder,
    'nvidia-cuda-runtime-cu12',
    '12.8.90',
    'manylinux_2_17_x86_64',
    'cuda_runtime/lib/libcudart.so.12',
  )
  writeNvidia(folder, 'nvidia-cuda-cupti-cu12', '12.8.90', 'manylinux_2_17_x86_64', 'cuda_cupti/lib/libcupti.so.12')
  const linux = 'platform_system == "Linux" and platform_machine == "x86_64"'
  return writeWheel(folder, {
    name: 'torch',
    version: '2.9.1',
    tag: torchTag,
    requires: [
      `nvidia-cuda-runtime-cu12==12.8.90; ${linux}`,
      `nvidia-cuda-cupti-cu12==12.8.90; ${linux}`,
      `nvidia-cudnn-cu12==9.10.2.21; ${linux}`,
    ],
    files: {
      'torch/version.py': "__version__ = '2.9.1+cu128'\n",
      'torch/lib/libtorch_cpu.so': 'cpu',
      'torch/lib/libc10.so': 'c10',
    },
    tampered,
  })
}

function writeNvidia(folder: string, name: string, version: string, platform: string, library: string): void {
  const files = {
    [`nvidia/${library}`]: `${name} ${version}`,
    'nvidia/cu13/include/header.h': '',
    'nvidia/cu13/lib/libstatic.a': 'static',
  }
  writeWheel(folder, { name, version, tag: `py3-none-${platform}`, files })
}

export interface Place {
  root: string
  /** The index: what pip can download. */
  index: string
  /** Real pip, which sees nothing but `index`; caches under `root`. */
  env: NodeJS.ProcessEnv
  remove(): void
}

/** An empty place with an empty index. */
export function makePlace(): Place {
  const root = mkdtempSync(join(tmpdir(), 'bt-setup-'))
  const index = join(root, 'index')
  mkdirSync(index)
  const env = { ...process.env, BT_NATIVE_CACHE: join(root, 'cache'), PIP_NO_INDEX: '1', PIP_FIND_LINKS: index }
  return { root, index, env, remove: () => rmSync(root, { recursive: true, force: true }) }
}
