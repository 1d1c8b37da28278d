// Floating-point operations of a training step: products alone, which are what takes the time. A multiplication and an
// addition are two.
import { type StepShape, sum, targetWidths } from './footprint.js'
import type { Workload } from './workload.js'

/** Operations of a mean step, forward and backward. */
export function stepWork(
  { config, r, targets, recompute }: Pick<StepShape, 'config' | 'r' | 'targets' | 'recompute'>,
  { tokensPerStep, scoredPerStep, squaresPerStep }: Workload,
): number {
  const { layers, hiddenSize: hidden, intermediateSize: inner, heads, kvHeads, headDim, vocabSize } = config
  const [q, kv] = [heads * headDim, kvHeads * headDim]
  const below = 2 * hidden * (q + 2 * kv) * tokensPerStep
  const aboveARow = 2 * (q * hidden + 2 * hidden * inner)
  const downARow = 2 * inner * hidden
  // Queries times keys and probabilities times values, each over half a square.
  const attention = 2 * q * squaresPerStep
  const adapter = 2 * r * sum(targets.map((target) => targetWidths(config, target)).map((w) => w.input + w.output))
  // Rows that are computed above the attention: in the last layer those that predict a scored token.
  const rowsAbove = (layers - 1) * tokensPerStep + scoredPerStep
  const head = 2 * vocabSize * hidden * scoredPerStep

  const forward = layers * (below + attention) + rowsAbove * (aboveARow + downARow)
  // No gradient goes into the embedding; attention takes five products where it took two.
  const backward = (layers - 1) * below + layers * 2.5 * attention + rowsAbove * (aboveARow + downARow)
  const again = recompute ? (layers - 1) * (below + attention + tokensPerStep * (aboveARow + adapter)) : 0
  return forward + backward + again + 2 * head + 3 * layers * adapter * tokensPerStep
}
