// The one integer hash of this folder.

/** MurmurHash3's finaliser, a bijection of 32 bits: each input bit turns about half of the output bits. */
export function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
