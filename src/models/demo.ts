// Demo models that `bt-native setup --model NAME` provides, each a `model.gguf` in modelFolder(NAME).

/** Alias -> the model on the Hub that it was made from. */
export const demoModels: Readonly<Record<string, { hubId: string }>> = {
  'smollm2-135m': { hubId: 'HuggingFaceTB/SmolLM2-135M-Instruct' },
}

/** The Hub id behind an alias, undefined for anything else: what other tools need to find the base model. */
export function hubIdOfDemo(name: string): string | undefined {
  return Object.hasOwn(demoModels, name) ? demoModels[name]?.hubId : undefined
}
