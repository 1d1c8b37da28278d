// The system texts of a recipe's rows, which tell a model where a row comes from.
import type { Recipe } from './recipe.js'

/** After Li et al. 2023: what people wrote, and what stood on the web. */
export const defaultTags = {
  seed: 'Answer in the style of an AI Assistant.',
  augmented: 'Answer with knowledge from web search.',
}

/** Undefined where rows get none. */
export function tagsOf({ tags }: Recipe): { seed: string; augmented: string } | undefined {
  if (tags === false) return undefined
  return tags === true ? defaultTags : tags
}
