// PEFT's adapter_config.json: what of it can be applied here, and what is refused by name.
import { z } from 'zod'
import type { TargetModule } from '../../binding.js'
import { BtError } from '../errors.js'
import { parseJson } from './json-file.js'

/** All linear layers of a decoder, in the order of the forward pass: what PEFT calls "all-linear". */
export const allTargets: readonly TargetModule[] = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
]

export interface AdapterConfig {
  /** base_model_name_or_path */
  baseModel?: string
  r: number
  alpha: number
  rsLora: boolean
  dropout: number
  targets: TargetModule[]
}

const schema = z.looseObject({
  peft_type: z.string(),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).max(1).nullish(),
  use_rslora: z.boolean().nullish(),
  target_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  bias: z.string().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
})

/** Fields that change what the adapter computes, each of which must be off (null, false or empty). */
const mustBeOff = [
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'rank_pattern',
  'alpha_pattern',
  'modules_to_save',
  'layers_to_transform',
  'layers_pattern',
  'layer_replication',
  'exclude_modules',
  'target_parameters',
  'trainable_token_indices',
  'fan_in_fan_out',
  'lora_bias',
  'alora_invocation_tokens',
  'arrow_config',
] as const

/** Initialisations that leave the base model's weights as they are; the others (PiSSA, OLoRA, LoftQ) change them. */
const plainStarts: readonly (string | boolean)[] = [true, false, 'gaussian', 'orthogonal', 'eva']

/**
 * @param path for messages
 * @throws {BtError} BT_MODEL_CONFIG for a file that is not valid, BT_ADAPTER_UNSUPPORTED naming a field that is not
 * supported
 */
export function parseAdapterConfig(path: string, text: string): AdapterConfig {
  const config = parseJson(path, text, schema)
  const refuse = (what: string): never => {
    throw new BtError('BT_ADAPTER_UNSUPPORTED', `${path}: ${what} is not supported`, {
      remedy: 'Merge such an adapter into its base model with PEFT (merge_and_unload) and give the merged model.',
    })
  }
  if (config.peft_type !== 'LORA') refuse(`peft_type "${config.peft_type}"`)
  if ((config.task_type ?? 'CAUSAL_LM') !== 'CAUSAL_LM') refuse(`task_type "${config.task_type}"`)
  if ((config.bias ?? 'none') !== 'none') refuse(`bias "${config.bias}"`)
  for (const field of mustBeOff) {
    if (!isOff(config[field])) refuse(`${field} ${JSON.stringify(config[field])}`)
  }
  const start = config.init_lora_weights ?? true
  if (!plainStarts.includes(start)) refuse(`init_lora_weights "${start}"`)
  return {
    baseModel: config.base_model_name_or_path ?? undefined,
    r: config.r,
    alpha: config.lora_alpha,
    rsLora: config.use_rslora ?? false,
    dropout: config.lora_dropout ?? 0,
    targets: targetsOf(config.target_modules, refuse),
  }
}

function isOff(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** "q_proj", "self_attn.q_proj": the last part names the layer. One name alone may stand as a string. */
function targetsOf(modules: string | string[] | null | undefined, refuse: (what: string) => never): TargetModule[] {
  if (modules === 'all-linear') return [...allTargets]
  const list = typeof modules === 'string' ? [modules] : (modules ?? [])
  if (list.length === 0) refuse('target_modules that are not given')
  const found = new Set<TargetModule>()
  for (const name of list) {
    const target = allTargets.find((known) => known === name.split('.').at(-1))
    if (target === undefined || !/^[\w.]+$/.test(name)) return refuse(`target module "${name}"`)
    found.add(target)
  }
  return allTargets.filter((target) => found.has(target))
}

/** adapter_config.json as PEFT 0.21 reads it; fields that older releases do not know are left out. */
export function adapterConfigJson(config: AdapterConfig): string {
  const fields = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: config.baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.r,
    rank_pattern: {},
    revision: null,
    target_modules: config.targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.rsLora,
  }
  return `${JSON.stringify(fields, null, 2)}\n`
}
