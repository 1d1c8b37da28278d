// Dates as chat templates ask for them: the directives of C's strftime, in English and UTC.

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July']
months.push('August', 'September', 'October', 'November', 'December')

const two = (value: number) => String(value).padStart(2, '0')

const directives: Record<string, (date: Date) => string> = {
  a: (date) => days[date.getUTCDay()]!.slice(0, 3),
  A: (date) => days[date.getUTCDay()]!,
  b: (date) => months[date.getUTCMonth()]!.slice(0, 3),
  B: (date) => months[date.getUTCMonth()]!,
  d: (date) => two(date.getUTCDate()),
  m: (date) => two(date.getUTCMonth() + 1),
  y: (date) => two(date.getUTCFullYear() % 100),
  Y: (date) => String(date.getUTCFullYear()),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % 12 || 12),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  F: (date) => date.toISOString().slice(0, 10),
  '%': () => '%',
}

/**
 * `date` by a strftime format.
 * @throws {Error} for a directive that is not in the table: a chat template must not be rendered with a hole
 */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)(.)/g, (directive, dash: string, letter: string) => {
    const write = directives[letter]
    if (!write) throw new Error(`strftime directive ${directive} is not supported`)
    return dash ? write(date).replace(/^0(?=\d)/, '') : write(date)
  })
}
