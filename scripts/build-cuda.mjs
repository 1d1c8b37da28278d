// Builds the kernels for GPUs, libbt_cuda-MINOR.so, if the sources have changed since the last build; provides nvcc and
// CUDA's headers first (105 MB to download, once). Needs no GPU. --force builds anyway.
import { fail, StepError, Steps } from './console.mjs'
import { compileTypeScript, packages } from './prepare.mjs'

const steps = new Steps(4)
try {
  await steps.run('npm packages', packages)
  await steps.run('TypeScript', compileTypeScript)
  const { provideToolkit } = await import('../dist/setup/toolkit.js')
  const { buildCuda } = await import('../dist/setup/build-cuda.js')
  const { foundLibtorch } = await import('../dist/setup/build.js')
  let toolkit
  await steps.run('nvcc (105 MB to download, once)', async () => {
    const { folder, created } = await provideToolkit()
    toolkit = folder
    return created ? folder : `${folder} was there already`
  })
  await steps.run('the kernels for GPUs', async () => {
    const { folder, version } = foundLibtorch()
    const force = process.argv.includes('--force')
    const { library, built } = await buildCuda({ libtorch: folder, version, toolkit, force })
    return built ? library : `${library}: no source has changed`
  })
} catch (error) {
  // An error of the package says all that there is to say.
  fail(error.code?.startsWith?.('BT_') ? new StepError(`${error.code}: ${error.message}`, error.remedy) : error)
}
