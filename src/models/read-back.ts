// A description that is written must be read as the same model again.
import type { ModelConfig } from '../../binding.js'
import { BtError } from '../errors.js'

/**
 * Holds a configuration against what its description is read as. The family may differ: formats count them otherwise.
 * @throws {BtError} BT_EXPORT_UNSUPPORTED with what cannot be read, or the fields in which the two differ
 */
export function refuseOtherModel(target: string, config: ModelConfig, read: () => ModelConfig): void {
  const refuse = (what: string): never => {
    throw new BtError('BT_EXPORT_UNSUPPORTED', `${target} cannot say of a ${config.family} model: ${what}`, {
      remedy: 'Export to the other format: --to safetensors or --to gguf.',
    })
  }
  const { family: _, ...again } = readOr(read, refuse)
  const fields = Object.keys({ ...config, ...again, family: 0 }).filter((field) => field !== 'family')
  const [one, other] = [config, again] as unknown as Record<string, unknown>[]
  const differing = fields.filter((field) => JSON.stringify(one![field]) !== JSON.stringify(other![field]))
  if (differing.length > 0) refuse(differing.map((field) => `${field} ${JSON.stringify(one![field])}`).join(', '))
}

function readOr(read: () => ModelConfig, refuse: (what: string) => never): ModelConfig {
  try {
    return read()
  } catch (error) {
    if (error instanceof BtError) return refuse(error.message)
    throw error
  }
}
