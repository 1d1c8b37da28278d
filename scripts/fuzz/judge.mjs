// What an input may do: give a result or a BtError with a code, soon, and without taking the machine's memory.

/** Milliseconds for one input; those that are damaged are small. */
export const timeLimit = 5000
/** Bytes of resident memory of the process that reads them. */
export const memoryLimit = 1.5e9

export const isBtError = (error) => error?.name === 'BtError' && /^BT_[A-Z_]+$/.test(error.code)

/** A finding in a line: what was thrown, and where. The same fault gives the same line. */
export function faultOf(error) {
  const stack = String(error?.stack ?? error).split('\n')
  const at = stack.find((line) => /^\s+at .*\/dist\//.test(line)) ?? stack.find((line) => /^\s+at /.test(line)) ?? ''
  const where = /([\w.-]+\.[cm]?js):\d+/.exec(at)?.[0] ?? ''
  return `${error?.name ?? typeof error}: ${String(error?.message ?? error)
    .slice(0, 120)
    .replace(/\d+/g, 'N')} (${where})`
}
