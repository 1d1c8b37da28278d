// Signs that nobody would see, made visible: an audit has to show a stray one.

const named: Record<string, string> = { '\t': '⇥', '\u007f': '␡' }

/**
 * `text` with a sign for each control character, and the code of each character that shows nothing or turns the
 * direction of what follows. A line end stays one, with "↵" before it.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (sign) => {
    if (sign === '\n') return '↵\n'
    if (named[sign]) return named[sign]
    const code = sign.codePointAt(0)!
    if (code < 0x20) return String.fromCodePoint(0x2400 + code)
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`
  })
}
