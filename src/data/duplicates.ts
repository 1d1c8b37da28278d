// Rows that were seen before, letter for letter once normalised.

export class ExactDuplicates {
  private readonly places = new Map<string, string>()

  /** @returns the place of the row with this id that came first; undefined for a new one, which is remembered */
  seenAt(id: string, place: string): string | undefined {
    const first = this.places.get(id)
    if (first === undefined) this.places.set(id, place)
    return first
  }
}
