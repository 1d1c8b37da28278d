// Which language a row is in: its own word for it where it has one, detection where not.
import { BtError } from '../errors.js'
import type { ReadRow } from './rows.js'

/** 'unsure' is text too short or too mixed to tell. */
export type LanguageVerdict = 'wanted' | 'other' | 'unsure'

export interface LanguageFilter {
  /** @throws {BtError} BT_USAGE when a row must be detected and a wanted language is not among the 60 that can be */
  judge(read: ReadRow): LanguageVerdict
  /** Rows that had no language column of use. */
  readonly detected: number
}

/**
 * A filter for languages by ISO 639-1 code. "pt" takes "pt-BR" as well; "pt-BR" takes no other. A column may also hold
 * names ("English"); one that holds neither code nor name (a programming language) is passed over.
 * @param wanted for instance ["en", "de"]
 * @throws {BtError} BT_USAGE for what is no code
 */
export async function languageFilter(wanted: readonly string[]): Promise<LanguageFilter> {
  const codes = wanted.map((code) => code.trim().toLowerCase())
  const wrong = codes.find((code) => !codePattern.test(code))
  if (wrong !== undefined || codes.length === 0) {
    throw new BtError('BT_USAGE', `"${wrong ?? ''}" is no language code`, {
      remedy: 'Codes have two letters: en, de, zh.',
    })
  }
  const { known, detect } = await languageDetector()
  const codeOfName = new Map(known.map((code) => [englishNames.of(code)?.toLowerCase(), code]))
  let detected = 0

  const judgeCode = (own: string): LanguageVerdict =>
    codes.some((code) => own === code || own.startsWith(`${code}-`)) ? 'wanted' : 'other'
  const judgeText = (text: string): LanguageVerdict => {
    const unknown = codes.find((code) => !known.includes(subtag(code)))
    if (unknown) throw cannotDetect(unknown, known)
    const language = detect(text)
    if (language === undefined) return 'unsure'
    return codes.some((code) => subtag(code) === language) ? 'wanted' : 'other'
  }
  return {
    judge({ row, lang }) {
      const own = lang?.trim().toLowerCase().replaceAll('_', '-') ?? ''
      const code = codePattern.test(own) ? own : codeOfName.get(own)
      if (code) return judgeCode(code)
      detected++
      return judgeText(`${row.instruction.slice(0, enough)}\n${row.response.slice(0, enough)}`)
    },
    get detected() {
      return detected
    },
  }
}

export interface LanguageDetector {
  /** ISO 639-1 codes of the languages that can be told. */
  known: string[]
  /** Undefined for text too short or too mixed to tell. */
  detect(text: string): string | undefined
}

/** Loading takes a quarter of a second: where it is needed, not at start-up. */
export async function languageDetector(): Promise<LanguageDetector> {
  const { default: eld } = await import('eld/small')
  return {
    known: Object.values(eld.info().Languages),
    detect(text) {
      const result = eld.detect(text)
      return result.isReliable() ? result.language : undefined
    },
  }
}

/** Characters of each side that tell the language. */
const enough = 2000

const codePattern = /^[a-z]{2,3}(-[a-z0-9]{2,8})*$/
const englishNames = new Intl.DisplayNames('en', { type: 'language' })

/** "pt" of "pt-br". */
function subtag(code: string): string {
  return code.split('-')[0]!
}

function cannotDetect(code: string, known: readonly string[]): BtError {
  return new BtError(
    'BT_USAGE',
    `the language "${code}" cannot be told from the text, and the rows do not name theirs`,
    {
      remedy: `Name the column that holds it: --columns instruction=A,response=B,lang=C. Detected are ${known.join(' ')}.`,
    },
  )
}
