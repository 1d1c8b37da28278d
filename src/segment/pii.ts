// Personal data in a text, replaced by its kind. Numbers with a check digit must pass it; phone numbers must be possible
// in their country by libphonenumber's tables.
import { isIP } from 'node:net'
import type { CountryCode } from 'libphonenumber-js'

export const piiKinds = ['email', 'phone', 'ip', 'credit-card', 'iban'] as const
export type PiiKind = (typeof piiKinds)[number]

export interface Masked {
  text: string
  /** Places that were replaced. */
  counts: Partial<Record<PiiKind, number>>
}

export type Masker = (text: string) => Masked

/**
 * Replaces each place by "[EMAIL]", "[PHONE]", "[IP]", "[CREDIT-CARD]" or "[IBAN]".
 * @param country of phone numbers without a country code: "US"
 */
export async function openMasker(kinds: ReadonlySet<PiiKind>, country: string): Promise<Masker> {
  const findPhones = kinds.has('phone') ? await phoneFinder(country) : undefined
  return (text) => {
    const counts: Masked['counts'] = {}
    let masked = text
    for (const kind of order) {
      if (!kinds.has(kind)) continue
      const places = kind === 'phone' ? findPhones!(masked) : findPattern(masked, kind)
      if (places.length === 0) continue
      masked = replace(masked, places, `[${kind.toUpperCase()}]`)
      counts[kind] = places.length
    }
    return { text: masked, counts }
  }
}

/** Phone numbers come last: parts of the others look like them. */
const order: readonly PiiKind[] = ['email', 'iban', 'credit-card', 'ip', 'phone']

type Place = { from: number; to: number }

const patterns: Record<Exclude<PiiKind, 'phone'>, { pattern: RegExp; holds: (found: string) => boolean }> = {
  // Lengths are those of RFC 5321; without them the search would be quadratic.
  email: {
    pattern:
      /(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}\p{L}{2,24}(?![\p{L}\p{N}])/gu,
    holds: () => true,
  },
  iban: {
    pattern: /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])/g,
    holds: isIban,
  },
  'credit-card': { pattern: /(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-]\d|\d)/g, holds: isCreditCard },
  ip: {
    pattern: /(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)/g,
    holds: isAddress,
  },
}

function findPattern(text: string, kind: Exclude<PiiKind, 'phone'>): Place[] {
  const { pattern, holds } = patterns[kind]
  return [...text.matchAll(pattern)]
    .filter(([found]) => holds(found))
    .map(({ 0: found, index }) => ({ from: index, to: index + found.length }))
}

async function phoneFinder(country: string): Promise<(text: string) => Place[]> {
  const { findPhoneNumbersInText } = await import('libphonenumber-js')
  return (text) =>
    findPhoneNumbersInText(text, country as CountryCode).map(({ startsAt, endsAt }) => ({ from: startsAt, to: endsAt }))
}

function replace(text: string, places: readonly Place[], by: string): string {
  let result = ''
  let end = 0
  for (const { from, to } of places) {
    result += text.slice(end, from) + by
    end = to
  }
  return result + text.slice(end)
}

/** 13 to 19 digits of a known issuer whose Luhn sum (ISO/IEC 7812) is a multiple of ten. */
export function isCreditCard(text: string): boolean {
  const digits = [...text.replace(/\D/g, '')].map(Number)
  if (digits.length < 13 || digits.length > 19 || digits[0]! < 2 || digits[0]! > 6) return false
  const sum = digits.toReversed().reduce((total, digit, index) => {
    const value = index % 2 === 1 ? digit * 2 : digit
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return sum % 10 === 0
}

/** ISO 13616: the first four characters go to the end, letters become numbers from 10, and the rest by 97 is 1. */
export function isIban(text: string): boolean {
  const plain = text.replaceAll(' ', '')
  if (plain.length < 15 || plain.length > 34) return false
  let rest = 0
  for (const character of plain.slice(4) + plain.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}

/** An address of IPv4 or IPv6; neither this host, nor a version number like 1.2.3.4 that begins with one digit. */
function isAddress(text: string): boolean {
  const kind = isIP(text)
  if (kind === 6) return /[0-9a-f]/i.test(text) && text.length > 3
  return kind === 4 && !/^(?:0\.|127\.|255\.)/.test(text) && !/^\d(?:\.\d){3}$/.test(text)
}
