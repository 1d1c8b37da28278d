// The public pieces of the text folder.
export { type Chat, type ChatMessage, openChat } from './chat.js'
export { makeTemplate, type TemplateOptions, type TemplateSource, templateFromDescription } from './template.js'
export { openTokenizer } from './tokenizer.js'
export type * from './types.js'
