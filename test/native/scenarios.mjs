// What lifetime.test.ts runs in child processes: plain Node over the native files alone.
// Usage: BT_TEST_SETUP=JSON node scenarios.mjs NAME
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const setup = JSON.parse(process.env.BT_TEST_SETUP)
const loader = createRequire(import.meta.url)(setup.addon)
if (process.argv[2] === 'exitWhileOpening') {
  loader.openLibrariesAhead(setup.libraries)
  console.log('going')
  process.exit(3)
}
if (process.argv[2] === 'openAhead') await Promise.all([1, 2].map(() => loader.openLibrariesAhead(setup.libraries)))
loader.openLibraries(setup.libraries)
const core = loader.openCore(setup.core)
const batch = Object.fromEntries(setup.batch.map(([key, values]) => [key, Int32Array.from(values)]))

const open = (threads = 1) => core.openRuntime({ device: 'cpu', threads })
/** Microbatches for about half a minute of work. */
const long = Array(30_000).fill(batch)
const stepOptions = { learningRate: 1e-3, step: 1 }
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const expectCode = async (promise, code) => {
  const got = await promise.then(
    () => 'resolved',
    (error) => error.code,
  )
  if (got !== code) throw new Error(`expected ${code}, got ${got}`)
}

async function openTrainer(runtime) {
  const model = await runtime.loadModel(setup.model)
  const lora = await model.attachLora(setup.lora)
  return { model, lora, trainer: await model.createTrainer(lora, setup.trainer) }
}

async function losses(runtime) {
  const { trainer } = await openTrainer(runtime)
  const list = []
  for (let step = 1; step <= 3; step++) list.push((await trainer.step([batch], { learningRate: 1e-2, step })).loss)
  return list
}

const scenarios = {
  async severalRuntimes() {
    const runtimes = [open(), open(2), open()]
    const all = await Promise.all(runtimes.map(losses))
    await runtimes[0].close()
    all.push(await losses(runtimes[1])) // the others go on
    await Promise.all(runtimes.map((runtime) => runtime.close()))
    if (new Set(all.map((list) => JSON.stringify(list.map((loss) => loss.toFixed(5))))).size !== 1) {
      throw new Error(`the runtimes differ: ${JSON.stringify(all)}`)
    }
    console.log('done')
  },

  async openAhead() {
    const runtime = open(2)
    await losses(runtime)
    await runtime.close()
    console.log('done')
  },

  async workerThreads() {
    const run = (mode) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { argv: [mode], workerData: mode })
      return new Promise((resolve, reject) => {
        worker.on('error', reject)
        worker.on('message', (message) => {
          if (message === 'busy') worker.terminate()
        })
        worker.on('exit', resolve)
      })
    }
    const mine = losses(open())
    const codes = await Promise.all(['inWorker', 'leftOpen', 'terminated', 'inWorker', 'terminated'].map(run))
    await mine
    if (codes.join() !== '0,0,1,0,1') throw new Error(`exit codes ${codes}`)
    console.log('done')
  },
  async inWorker() {
    const runtime = open()
    await losses(runtime)
    await runtime.close()
  },
  async leftOpen() {
    await losses(open())
  },
  async terminated() {
    const { trainer } = await openTrainer(open())
    trainer.step(long, stepOptions)
    await sleep(100)
    parentPort.postMessage('busy')
    await sleep(60_000)
  },

  async processExit() {
    const { trainer } = await openTrainer(open(2))
    trainer.step(long, stepOptions)
    await sleep(200)
    process.stdout.write('leaving\n')
    process.exit(7)
  },
  async processExitIdle() {
    await losses(open())
    process.exit(0)
  },
  async processExitClosed() {
    const runtime = open()
    await losses(runtime)
    await runtime.close()
    process.exit(3)
  },
  async uncaught() {
    const { trainer } = await openTrainer(open(2))
    trainer.step(long, stepOptions)
    setTimeout(() => {
      throw new Error('thrown by the test')
    }, 200)
  },
  async processExitFromWorker() {
    const worker = new Worker(fileURLToPath(import.meta.url), { argv: ['terminated'], workerData: 'terminated' })
    worker.on('message', () => process.exit(5))
  },

  async naturalExit() {
    const { trainer } = await openTrainer(open())
    trainer.step(Array(200).fill(batch), stepOptions).then((result) => console.log(`loss ${result.loss > 0}`))
  },
  async naturalExitIdle() {
    await losses(open())
    console.log('idle')
  },
  async forgottenWhilePending() {
    // Nothing but the pending promise refers to the runtime.
    const promise = (() => open().measureGemm('float32'))()
    for (let i = 0; i < 20; i++) {
      globalThis.gc()
      await sleep(1)
    }
    console.log((await promise) > 0)
  },

  async collected() {
    const cycle = async () => {
      const runtime = open()
      const { model, trainer } = await openTrainer(runtime)
      await trainer.step([batch], stepOptions)
      const sampler = await model.createSampler(setup.sampler)
      await sampler.add([{ id: 0, tokens: Int32Array.of(1, 2), maxNewTokens: 2 }])
      await sampler.advance(4)
    }
    const collect = async () => {
      for (let i = 0; i < 5; i++) {
        globalThis.gc()
        await sleep(5)
      }
    }
    const many = async (count) => {
      for (let i = 0; i < count; i++) {
        await cycle()
        if (i % 10 === 9) await collect()
      }
      await collect()
      return process.memoryUsage.rss()
    }
    const before = await many(60)
    const after = await many(140)
    const threads = (await import('node:fs')).readdirSync('/proc/self/task').length
    console.log(JSON.stringify({ grown: after - before, threads }))
  },

  async closed() {
    // Everything opened, one step, everything closed: over and over, without a collection being forced.
    const many = async (count) => {
      for (let i = 0; i < count; i++) {
        const runtime = open()
        const { trainer } = await openTrainer(runtime)
        await trainer.step([batch], stepOptions)
        await runtime.close()
      }
      return process.memoryUsage.rss()
    }
    const before = await many(60)
    const after = await many(140)
    const threads = (await import('node:fs')).readdirSync('/proc/self/task').length
    console.log(JSON.stringify({ grown: after - before, threads }))
  },

  async objectsCollected() {
    // One runtime, many models: the weights of those forgotten are freed.
    const runtime = open()
    for (let i = 0; i < 40; i++) {
      await openTrainer(runtime)
      if (i % 10 === 9) globalThis.gc()
    }
    for (let i = 0; i < 5; i++) {
      globalThis.gc()
      await sleep(5)
    }
    const { weights } = await runtime.memory()
    console.log(JSON.stringify({ weights }))
    await runtime.close()
  },

  async closeWithWorkQueued() {
    const runtime = open(2)
    const { trainer, lora } = await openTrainer(runtime)
    const running = expectCode(trainer.step(long, stepOptions), 'BT_ABORTED')
    const waiting = [trainer.state(), lora.tensors(), runtime.memory()].map((call) => expectCode(call, 'BT_ABORTED'))
    await sleep(100)
    const start = performance.now()
    await Promise.all([runtime.close(), runtime.close()])
    await Promise.all([running, ...waiting])
    await expectCode(trainer.state(), 'BT_CLOSED')
    await runtime.close()
    console.log(JSON.stringify({ milliseconds: performance.now() - start }))
  },

  async oneOpenMp() {
    await losses(open(2))
    const maps = (await import('node:fs')).readFileSync('/proc/self/maps', 'utf8')
    const names = new Set(maps.split('\n').map((line) => line.split(/\s+/)[5]))
    console.log(JSON.stringify([...names].filter((name) => /lib(g|i)omp/.test(name ?? ''))))
  },
}

const name = isMainThread ? process.argv[2] : workerData
await scenarios[name]()
