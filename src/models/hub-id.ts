// Names of models on the Hub: "org/name", with "@revision" where one is asked for.

export interface HubReference {
  /** "org/name" */
  id: string
  /** Branch, tag or commit; "main" by default. */
  revision: string
}

const part = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?'
const form = new RegExp(`^(${part}/${part})(?:@([^@\\s]+))?$`)

/** "org/name" or "org/name@revision", or undefined for anything that cannot be on the Hub. */
export function parseHubReference(reference: string): HubReference | undefined {
  const [, id, revision] = form.exec(reference) ?? []
  if (id === undefined || id.includes('--') || reference.includes('..') || revision?.startsWith('/')) return undefined
  return { id, revision: revision ?? 'main' }
}

/** True for "org/name"; a path such as "./name" or "models/a/b" is not one. */
export function isHubId(reference: string): boolean {
  return parseHubReference(reference) !== undefined
}
