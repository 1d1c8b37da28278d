// Random numbers as a function of (seed, purpose, position): the same on every machine, whatever was drawn before.

/** Uniform integers below 2^32 by position. `purpose` keeps two uses of one seed apart. */
export function randomAt(seed: number, purpose: string): (position: number) => number {
  let key = mix(mix(seed >>> 0) ^ Math.floor(seed / 2 ** 32))
  for (const letter of purpose) key = mix(key ^ letter.codePointAt(0)!)
  const second = mix(key ^ 0x9e3779b9)
  return (position) => mix((mix((position >>> 0) ^ key) + Math.floor(position / 2 ** 32)) ^ second)
}

/** An integer below `count` from 32 random bits. */
export function below(bits: number, count: number): number {
  return Math.floor((bits / 2 ** 32) * count)
}

/** A mixing of 32 bits in which every input bit flips each output bit half the time (Wellons' lowbias32). */
function mix(value: number): number {
  let bits = value ^ (value >>> 16)
  bits = Math.imul(bits, 0x7feb352d)
  bits ^= bits >>> 15
  bits = Math.imul(bits, 0x846ca68b)
  return (bits ^ (bits >>> 16)) >>> 0
}
