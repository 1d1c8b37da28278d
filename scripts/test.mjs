// `npm test [-- what]`: sets up whatever is missing, runs the tests, and says "N passed, N failed" last, whatever happens.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fail, root, Steps } from './console.mjs'
import { prepare, prepareSteps } from './prepare.mjs'

/**
 * Counts of a vitest JSON report. A file that could not be run has no test that failed: it counts as one.
 * @param report parsed, or undefined when vitest wrote none
 * @param status vitest's exit code: not 0 without a failed test (an error outside of tests) counts as one failure
 */
export function countTests(report, status) {
  const passed = report?.numPassedTests ?? 0
  const broken = report?.testResults?.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  const failed = (report?.numFailedTests ?? 0) + (broken?.length ?? 0)
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed }
}

/** Runs vitest on `args` (all tests without any). */
async function vitest(args) {
  const folder = mkdtempSync(join(tmpdir(), 'bt-native-test-'))
  const file = join(folder, 'report.json')
  try {
    const program = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const status = await exitCode(process.execPath, [program, 'run', ...reporters, ...args])
    return countTests(readReport(file), status)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function exitCode(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    process.stderr.write(`vitest left no report: ${error.message}\n`)
    return undefined
  }
}

/** Every suite: each runs to its end and gives its counts. */
const suites = [vitest]

async function main(args) {
  const sum = { passed: 0, failed: 0 }
  try {
    await prepare(new Steps(prepareSteps))
    for (const suite of suites) {
      const { passed, failed } = await suite(args)
      sum.passed += passed
      sum.failed += failed
    }
  } catch (error) {
    fail(error)
    sum.failed++
  }
  process.stdout.write(`${sum.passed} passed, ${sum.failed} failed\n`)
  process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0
}

if (process.argv[1] === join(root, 'scripts', 'test.mjs')) await main(process.argv.slice(2))
