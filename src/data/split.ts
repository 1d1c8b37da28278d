// Which rows are kept back for validation: each row's side depends on its instruction and the seed, on no other row.

import { BtError } from '../errors.js'
import { sha256 } from '../files.js'
import { normaliseText } from './normalise.js'

/**
 * Whether a row belongs to the validation side. Rows with the same instruction (white space, Unicode form and case
 * aside) stand on one side. A larger fraction only adds rows to the validation side.
 * @param fraction share of instructions on the validation side, 0 to below 1
 */
export function isValidationRow(instruction: string, fraction: number, seed: number): boolean {
  if (fraction <= 0) return false
  const key = normaliseText(instruction).replace(/\s+/g, ' ').toLowerCase()
  return Number.parseInt(sha256(`${seed}\0${key}`).slice(0, 12), 16) < fraction * 2 ** 48
}

/**
 * Splits rows, each side in the order given. Stable under reordering and appending.
 * @throws {BtError} BT_ARGUMENT for a fraction outside 0 to below 1
 */
export function splitValidation<Row extends { instruction: string }>(
  rows: readonly Row[],
  fraction: number,
  seed: number,
): { train: Row[]; validation: Row[] } {
  checkFraction(fraction)
  const train: Row[] = []
  const validation: Row[] = []
  for (const row of rows) (isValidationRow(row.instruction, fraction, seed) ? validation : train).push(row)
  return { train, validation }
}

/** @throws {BtError} BT_ARGUMENT */
export function checkFraction(fraction: number): void {
  if (fraction >= 0 && fraction < 1) return
  throw new BtError('BT_ARGUMENT', `the share of validation rows is ${fraction}, 0 to below 1 was expected`)
}
