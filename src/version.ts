// The package's version, for the command line and for what is written to disk. Not read from package.json, which a bundle
// does not hold; a test compares the two.

/** "version" of package.json. */
export function packageVersion(): string {
  return '0.1.0'
}
