// Headings under which no text of use stands: what surrounds an article, and lists of sources.

const exact = new Set(
  [
    // English
    'references|bibliography|works cited|citations|sources|notes|footnotes|endnotes|see also|external links|further reading|resources',
    'comments|leave a comment|leave a reply|post a comment|add a comment|discussion|reviews|customer reviews|write a review|responses|trackbacks|pingbacks',
    'related|related posts|related articles|related links|related products|related topics|related stories|you may also like|you might also like|recommended|recommended for you|more from|more stories|read more|read next|up next|most popular|most read|popular posts|recent posts|recent comments|latest posts|latest news|trending|trending now|archives|archive|categories|tags|tag cloud|blogroll',
    'navigation|navigation menu|main menu|menu|site map|sitemap|search|quick links|links|useful links|table of contents|contents|index|breadcrumbs|skip to content|in this article|on this page|back to top',
    'share|share this|share this post|share this article|share on|follow us|follow|connect with us|social media|subscribe|newsletter|sign up|sign in|log in|login|register|join us|join our newsletter|stay connected|stay updated|get in touch|contact|contact us|about us|about the author|about author|author|donate|advertisement|advertisements|sponsored|sponsors|footer|header|sidebar|widgets',
    'privacy policy|cookie policy|cookies|terms of service|terms of use|terms and conditions|disclaimer|copyright|license|legal|legal notice|accessibility|acknowledgements|acknowledgments|shopping cart|your cart|cart|checkout|add to cart|wishlist|my account|shipping|returns|page not found|not found|404|error|loading|untitled|download|downloads|image credits|photo credits|credits',
    // German
    'einzelnachweise|literatur|quellen|weblinks|siehe auch|anmerkungen|kommentare|kommentar schreiben|kommentar hinterlassen|ähnliche artikel|verwandte artikel|das könnte sie auch interessieren|inhaltsverzeichnis|inhalt|navigation|menü|suche|teilen|folgen sie uns|impressum|datenschutz|datenschutzerklärung|agb|kontakt|über uns|über den autor|anmelden|warenkorb|schlagwörter|kategorien|archiv',
    // French
    'références|bibliographie|liens externes|voir aussi|notes et références|commentaires|laisser un commentaire|articles similaires|articles liés|sommaire|table des matières|recherche|partager|suivez nous|mentions légales|politique de confidentialité|contactez nous|à propos|connexion|panier|étiquettes|catégories',
    // Spanish
    'referencias|bibliografía|enlaces externos|véase también|notas|comentarios|deja un comentario|deja una respuesta|artículos relacionados|entradas relacionadas|índice|contenido|buscar|compartir|síguenos|aviso legal|política de privacidad|contacto|sobre nosotros|iniciar sesión|carrito|etiquetas|categorías',
  ].flatMap((line) => line.split('|')),
)

const begins =
  /^(?:\d+ (?:comments?|responses?|replies|thoughts?|reviews?)|(?:comments?|replies|responses) \d+|leave (?:a|your)|share (?:this|on)|related |recommended |popular |recent |subscribe |sign up|follow us|copyright |more from |about the author|tagged|posted (?:in|by|on)|filed under|log in|cookie|we use cookies|skip to )/

/** Longest heading; what is longer is a paragraph that was marked up as one. */
const longest = 200

/** Whether the text below a heading is of no use: it lists sources, navigates, advertises, or the heading says nothing. */
export function isJunkHeading(heading: string): boolean {
  if (heading.length > longest || /https?:\/\/|www\./i.test(heading)) return true
  const plain = heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}]+/gu, ' ')
    .trim()
    .replace(/^(?:\d+ )+(?=\p{L}+$)/u, '')
  return !/\p{L}/u.test(plain) || exact.has(plain) || begins.test(plain)
}
