// What happens meanwhile, on stderr: stdout is the result's.

export function progress(line) {
  process.stderr.write(`${line}\n`)
}

/** "371 tok/s", "1,342 tok/s". */
export function perSecond(rate, unit = 'tok') {
  return `${rate.toLocaleString('en-US', { maximumFractionDigits: rate < 10 ? 2 : 0 })} ${unit}/s`
}
