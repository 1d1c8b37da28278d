// The loop as a list of stages, in the order in which they run.
import type { Recipe } from './recipe.js'
import type { Stage } from './stage.js'
import { augmentStage } from './stages/augment.js'
import { checkStage } from './stages/check.js'
import { corpusStage } from './stages/corpus.js'
import { curateStage } from './stages/curate.js'
import { datasetStage } from './stages/dataset.js'
import { evaluateStage } from './stages/evaluate.js'
import { lineageStage } from './stages/lineage.js'
import { controlMixStage, mixStage, seedMixStage } from './stages/mix.js'
import { rewriteStage } from './stages/rewrite.js'
import { seedStage } from './stages/seed.js'
import { backwardStage, forwardStage } from './stages/train.js'

/**
 * seed -> backward model; corpus -> pairs; M_0 from the seed; then in each iteration the pairs are rated with the last
 * model, and the next one is trained on the seed and what was kept (Li et al. 2023, arXiv 2308.06259).
 */
export function stagesOf(recipe: Recipe): Stage[] {
  return [
    seedStage(recipe),
    corpusStage(recipe),
    backwardStage(recipe),
    augmentStage(recipe),
    ...(recipe.seed.heldOut === 0 ? [] : [checkStage(recipe)]),
    ...(recipe.iterations === 0 ? [] : forwardStages(recipe)),
    lineageStage(recipe),
    datasetStage(recipe),
  ]
}

/** M_0, the iterations, the control, and the comparison of all. */
function forwardStages(recipe: Recipe): Stage[] {
  const iterations = Array.from({ length: recipe.iterations }, (_, index) => index + 1)
  return [
    seedMixStage(recipe),
    forwardStage(recipe, 'm0'),
    ...iterations.flatMap((iteration) => [
      curateStage(recipe, iteration),
      ...(recipe.rewrite === false ? [] : [rewriteStage(recipe, iteration)]),
      mixStage(recipe, iteration),
      forwardStage(recipe, `m${iteration}`),
    ]),
    ...(recipe.control ? [controlMixStage(recipe), forwardStage(recipe, 'control')] : []),
    ...(hasEvaluation(recipe) ? [evaluateStage(recipe)] : []),
  ]
}

/** Models are compared on rows that none of them was trained on; a recipe may keep none. */
function hasEvaluation({ evaluate, seed }: Recipe): boolean {
  return evaluate !== false && seed.heldOut !== 0
}
