// What the dynamic linker's words mean, and what to do about them.

/** One thing that dlerror() says, and what helps; the first that fits is told. */
const meanings: [RegExp, (match: RegExpExecArray) => string][] = [
  [
    /lib(cudart|cupti)\.so[.\d]*: cannot open/,
    () =>
      "libtorch's CUDA runtime is missing, which its builds for GPUs need on a CPU too. In a Python environment: pip install nvidia-cuda-runtime nvidia-cuda-cupti; else let setup provide a whole libtorch.",
  ],
  [
    /libcuda\.so[.\d]*: cannot open/,
    () =>
      "NVIDIA's driver is missing in here. In a container: start it with --gpus all and the NVIDIA Container Toolkit; else install the driver.",
  ],
  [
    /version `(GLIBC_[\d.]+)' not found/,
    ([, version]) =>
      `This system's glibc lacks ${version}: use a newer system, or build from source on this one: npx bt-native setup --force`,
  ],
  [
    /version `(GLIBCXX_[\d.]+|CXXABI_[\d.]+)' not found/,
    ([, version]) =>
      `The libstdc++ that was found lacks ${version}: unset LD_LIBRARY_PATH if it leads to an old one (Conda, modules), or install a newer libstdc++6.`,
  ],
  [
    /(wrong ELF class|invalid ELF header|file too short|Exec format error)/,
    () => 'The file is damaged or made for another processor: provide it again.',
  ],
  [
    /undefined symbol/,
    () => 'Files of different versions stand beside each other: provide libtorch and the addon again.',
  ],
  [
    /failed to map segment|Operation not permitted/,
    () =>
      'The file lies on a disk that forbids running code (noexec): move it to another one; BT_NATIVE_CACHE names another cache.',
  ],
  [/static TLS block/, () => 'Too many libraries were loaded before this one: start without LD_PRELOAD.'],
  [/Permission denied/, () => 'This user may not read the file.'],
  [
    /(\S+\.so[.\d]*): cannot open shared object file: No such file/,
    ([, name]) => `${name} is missing on this system: install the package that holds it.`,
  ],
]

/** What helps against an error of dlopen, by its text; undefined for words that are not known. */
export function explainLinker(message: string): string | undefined {
  for (const [pattern, meaning] of meanings) {
    const match = pattern.exec(message)
    if (match) return meaning(match)
  }
  return undefined
}

/** One remedy a line, best first, each once. */
export function ranked(...remedies: (string | undefined | false)[]): string {
  return [...new Set(remedies.filter(Boolean))].join('\n')
}
