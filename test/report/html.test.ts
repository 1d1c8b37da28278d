import { expect, test } from 'vitest'
import { escapeHtml, html } from '../../src/report/html.js'

test('texts are escaped, in elements and attributes, and markup is not', () => {
  const name = `<img src=x onerror='a' title="b">&`
  expect(html`<b title="${name}">${[html`<i>${name}</i>`, 3, undefined]}</b>`.text).toBe(
    '<b title="&lt;img src=x onerror=&#39;a&#39; title=&quot;b&quot;&gt;&amp;"><i>&lt;img src=x onerror=&#39;a&#39; title=&quot;b&quot;&gt;&amp;</i>3</b>',
  )
})

test('signs that HTML does not allow, lone halves of pairs and turns of direction become visible ones', () => {
  expect(escapeHtml('a\u0000b\u001bc\ud800d\u202ee\tf\ng😀')).toBe('a\ufffdb\ufffdc\ufffdd\ufffde\tf\ng😀')
})
