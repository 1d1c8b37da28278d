// Logistic regression of a few features, by Newton's method. Good and bad cases weigh the same in all, however many there are.

/** Of standardised features: value = sum of coefficient * feature, and a constant. */
export interface Logistic {
  /** [features] */
  mean: number[]
  scale: number[]
  /** `[1 + 2 * features]`: the constant, one a feature, one a squared feature. */
  coefficients: number[]
}

/** Ridge on all coefficients but the constant, in units of one weighted case of both classes together. */
const ridge = 0.01
const iterations = 30
/** Standardised values beyond these are taken for them: one wild value must not decide. */
const most = 4

/**
 * Learns p(good | features).
 * @param rows [cases][features]; NaN is not known, and counts as the mean
 */
export function trainLogistic(rows: readonly (readonly number[])[], good: readonly boolean[]): Logistic {
  const { mean, scale } = standardOf(rows)
  const inputs = rows.map((row) => expand(row, mean, scale))
  const size = inputs[0]!.length
  const goodCount = good.filter(Boolean).length
  const weights = good.map((one) => 0.5 / (one ? goodCount : good.length - goodCount))
  let coefficients = new Array<number>(size).fill(0)
  for (let step = 0; step < iterations; step++) {
    const gradient = coefficients.map((value, at) => (at === 0 ? 0 : -ridge * value))
    const hessian = coefficients.map((_, at) =>
      coefficients.map((__, other) => (at === other ? (at === 0 ? 1e-9 : ridge) : 0)),
    )
    for (const [which, input] of inputs.entries()) {
      const p = sigmoid(dot(coefficients, input))
      const error = weights[which]! * ((good[which] ? 1 : 0) - p)
      const curvature = weights[which]! * p * (1 - p)
      for (let a = 0; a < size; a++) {
        gradient[a]! += error * input[a]!
        for (let b = 0; b < size; b++) hessian[a]![b]! += curvature * input[a]! * input[b]!
      }
    }
    const change = solve(hessian, gradient)
    coefficients = coefficients.map((value, at) => value + change[at]!)
    if (Math.max(...change.map(Math.abs)) < 1e-8) break
  }
  return { mean, scale, coefficients }
}

/** p(good) of one case. */
export function predictLogistic({ mean, scale, coefficients }: Logistic, row: readonly number[]): number {
  return sigmoid(dot(coefficients, expand(row, mean, scale)))
}

/** The standardised features and their squares: a score may be too high as well as too low. */
function expand(row: readonly number[], mean: readonly number[], scale: readonly number[]): number[] {
  const standard = row.map((value, at) => {
    const one = Number.isNaN(value) ? 0 : (value - mean[at]!) / scale[at]!
    return Math.max(-most, Math.min(most, one))
  })
  return [1, ...standard, ...standard.map((value) => value * value - 1)]
}

function standardOf(rows: readonly (readonly number[])[]): { mean: number[]; scale: number[] } {
  const columns = rows[0]!.map((_, at) => rows.map((row) => row[at]!).filter((value) => !Number.isNaN(value)))
  const mean = columns.map((values) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length))
  const scale = columns.map((values, at) => {
    const variance = values.reduce((sum, value) => sum + (value - mean[at]!) ** 2, 0) / Math.max(1, values.length)
    return Math.sqrt(variance) || 1
  })
  return { mean, scale }
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0)
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value))
}

/** x of A x = b for a symmetric, positive definite A, by Cholesky's decomposition. */
function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const size = b.length
  const lower = a.map(() => new Array<number>(size).fill(0))
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let value = a[row]![column]!
      for (let k = 0; k < column; k++) value -= lower[row]![k]! * lower[column]![k]!
      lower[row]![column] = row === column ? Math.sqrt(value) : value / lower[column]![column]!
    }
  }
  const forward: number[] = []
  for (let row = 0; row < size; row++) {
    let value = b[row]!
    for (let k = 0; k < row; k++) value -= lower[row]![k]! * forward[k]!
    forward.push(value / lower[row]![row]!)
  }
  const result = new Array<number>(size).fill(0)
  for (let row = size - 1; row >= 0; row--) {
    let value = forward[row]!
    for (let k = row + 1; k < size; k++) value -= lower[k]![row]! * result[k]!
    result[row] = value / lower[row]![row]!
  }
  return result
}
