// No file of the repository may name a place of one machine: a home or working folder, or the host of a package index.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const folders = /(?<![\w.~$}/-])\/(?:root|work)\/[\w.-]*/
const hosts = /https?:\/\/[^\s/"'`)]*(?:registry|npmjs|pypi|pythonhosted|artifactory|nexus|mirror)[^\s/"'`)]*/i

/** What `text` names that it should not, as [line number, words]. */
export function placesIn(text) {
  return text.split('\n').flatMap((line, index) => {
    const found = folders.exec(line) ?? hosts.exec(line)
    return found ? [[index + 1, found[0]]] : []
  })
}

/** Lines that tell each such place in the files that git tracks or would add. */
export function checkPlaces(root) {
  const { stdout, status, error } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`git ls-files failed: ${error?.message ?? `exit ${status}`}`)
  return [...new Set(stdout.split('\0'))].flatMap((path) => {
    if (path === '') return []
    const text = readText(join(root, path))
    return text === undefined ? [] : placesIn(text).map(([line, words]) => `${path}:${line} names ${words}`)
  })
}

/** undefined for binary files and for those deleted but not yet committed. */
function readText(path) {
  let bytes
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'EISDIR') return undefined
    throw error
  }
  return bytes.includes(0) ? undefined : bytes.toString('utf8')
}
