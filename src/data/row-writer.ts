// Rows to an open file as JSONL, gathered into writes of a useful size.
import type { FileHandle } from 'node:fs/promises'

/** Characters gathered before a write. */
const writeSize = 1 << 18

export class RowWriter {
  rows = 0
  private text = ''

  /** @param pack what becomes of each write: gzip, for instance, a member each */
  constructor(
    private readonly file: FileHandle,
    private readonly pack: (text: string) => string | Uint8Array = (text) => text,
  ) {}

  async write(row: object): Promise<void> {
    this.rows++
    this.text += `${JSON.stringify(row)}\n`
    if (this.text.length >= writeSize) await this.end()
  }

  /** Writes what was gathered. */
  async end(): Promise<void> {
    const text = this.text
    this.text = ''
    if (text !== '') await this.file.appendFile(this.pack(text))
  }
}
