// The README.md that lies beside an adapter's weights: a model card with the front matter that the Hub reads.
import type { AdapterConfig } from './adapter-config.js'
import { isHubId } from './hub-id.js'

/** A short model card; the base model stands in the front matter only when it is a Hub id, as the Hub demands. */
export function adapterCard(config: AdapterConfig): string {
  const base = config.baseModel ?? 'its base model'
  const onHub = config.baseModel !== undefined && isHubId(config.baseModel)
  const front = [
    ...(onHub ? [`base_model: ${base}`] : []),
    'library_name: peft',
    'pipeline_tag: text-generation',
    'tags:',
    ...(onHub ? [`- base_model:adapter:${base}`] : []),
    '- lora',
    '- instruction-backtranslation',
    '- bt-native',
  ]
  return `---
${front.join('\n')}
---

# LoRA adapter of ${base}

Trained with bt-native, which writes the instruction that a text answers.

| | |
|---|---|
| rank | ${config.r} |
| alpha | ${config.alpha}${config.rsLora ? ' (rank-stabilised)' : ''} |
| dropout | ${config.dropout} |
| modules | ${config.targets.join(', ')} |

\`bt_native.json\` holds the prompt template's hash, the options and the course of the training.

\`\`\`sh
npx bt-native generate --adapter . --input texts.jsonl --output instructions.jsonl
\`\`\`

\`\`\`python
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained(".")
\`\`\`
`
}
