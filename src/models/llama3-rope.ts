// Llama 3's rotary scaling: GGUF files carry only its result, one divisor for each pair of dimensions.
import type { RopeScaling } from '../../binding.js'

/**
 * Divisors of the rotary frequencies, [headDim / 2].
 * Source: transformers, modeling_rope_utils._compute_llama3_parameters.
 */
export function llama3Factors(scaling: Required<RopeScaling>, theta: number, headDim: number): Float32Array {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim)
    if (wavelength < originalMaxPositions / highFreqFactor) return 1
    if (wavelength > originalMaxPositions / lowFreqFactor) return factor
    const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}

/**
 * The scaling that gives these divisors, or undefined when none of the published kind does.
 * Every published model uses low and high factors 1 and 4; the factor is the largest divisor.
 * @param original original_max_position_embeddings, where the file tells it
 */
export function llama3FromFactors(
  factors: Float32Array,
  theta: number,
  headDim: number,
  original?: number,
): RopeScaling | undefined {
  const candidates = original === undefined ? [8192, 4096, 16384, 2048, 32768] : [original]
  const factor = Math.max(...factors)
  if (factors.length !== headDim / 2) return undefined
  for (const originalMaxPositions of candidates) {
    const scaling = { type: 'llama3', factor, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions } as const
    const expected = llama3Factors(scaling, theta, headDim)
    if (expected.every((value, i) => Math.abs(value - factors[i]!) <= 1e-4 * value)) return scaling
  }
  return undefined
}
