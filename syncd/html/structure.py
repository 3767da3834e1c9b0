"""Finds a page's content by its structure: page chrome out, the container picked, what is chrome inside it pruned.

Word lists and thresholds were tuned on public pages with ground truth; tests/benchmarks/crawling.py scores them.
"""

from __future__ import annotations

import re

from turbohtml import Document, Element

from syncd.html.code_blocks import CLASS_CHARS
from syncd.html.panels import settle_panels
from syncd.html.tables import elements_in

CHROME = (
    "script,style,template,iframe,object,embed,svg,canvas,audio,video,dialog,link,meta,noscript,nav,footer[role],"
    "[role=navigation],[role=search],[role=banner],[role=contentinfo],[role=menu],[role=menubar],[role=dialog],"
    "[role=alertdialog],[role=tooltip],[hidden],[aria-modal=true],input,select,textarea,datalist,"
    "a.headerlink,a.anchorjs-link,a.anchor-link,.sr-only,.visually-hidden,.screen-reader-text,.noprint,.no-print,"
    ".skip-link,.mw-editsection,.reflist,.navheader,.navfooter,.nosearch,.srclink,"
    "a.src,.sphinxsidebar,.related[role],div.related,#quickview,#hd,#ft,.viewcode-back,.viewcode-link,summary.hideme,.bd-sidebar,.wy-nav-side,.rst-footer-buttons"
)
CONTAINERS = (
    "[itemprop=articleBody]",
    "main,[role=main]",
    "article",
    "#mw-content-text,#docContent,#main-content,#maincontent,#content-main,#page-content,.markdown-body,.entry-content,"
    ".post-content,.post-body,.article-content,.article-body,.articleBody,.story-body,.main-content,.page-content,"
    "#article,#post,#bodyContent",
    "#content,#main,.content,.document,.rst-content,div.body,body > .book,body > .chapter,body > .sect1,"
    "body > .refentry,body > .article,body > .appendix,body > .preface,body > .part,body > .reference",
)
CHROME_WORDS = re.compile(
    r"(?:^|[\s_-])(?:cookies?|consent|gdpr|newsletters?|subscribe|subscription|signup|sign-up|share|sharing|shares|"
    r"sharedaddy|social|addtoany|breadcrumbs?|crumbs?|sidebar|side-bar|menu|navbar|navigation|nav|pagination|pager|"
    r"paginator|related|recommend(?:ed|ations?)?|promo|promoted|advert(?:isement)?s?|ads?|sponsor(?:ed)?|popup|modal|"
    r"overlay|masthead|footer|copyright|disclaimer|tags?|tagcloud|byline|author-?(?:bio|box|info)?|"
    r"outbrain|taboola|disqus|toolbar|login|search-?(?:form|box)|skip|print|rss|trending|most-?(?:read|popular)|"
    r"read-?(?:next|more)|up-?next|more-?(?:stories|articles|news|from)|cta|prev-?next|post-?nav|comment-?form|respond|"
    r"edit-?(?:link|page|this)?|feedback|rating|wpcnt|jp-relatedposts|printfooter|catlinks|hatnote|navbox|infobox-?nav|"
    r"rightside|topnav|bottomnav)(?:$|[\s_-])",
    re.IGNORECASE,
)
KEEP_WORDS = re.compile(
    r"(?:^|[\s_-])(?:content|main|body|article|post|entry|page|wrapper|container|layout)", re.IGNORECASE
)
COPY_WORDS = re.compile(r"(?:^|[\s_-])(?:copy|clipboard)(?:$|[\s_-])", re.IGNORECASE)
"""What buttons are called that copy code, or the address of a heading in which they stand."""
BLOCKS = "div,section,aside,ul,ol,form,footer,header,p,table,figure,span,li"
MIN_CONTAINER_CHARS = 140
MIN_PROSE_CHARS = 400
MIN_PROSE_SHARE = 0.3
MAX_PRUNED_SHARE = 0.5
TITLED = ("h2", "h3", "h4", "h5", "h6", "dt")
BARE = re.compile(r"(?:section|sect[1-6]|details|doc-section)?")
"""What documentation generators give ids made of the title or the name that it holds: `cookies`, `print`."""
_WORDS = re.compile(r"[^\W_]+")


def remove_chrome(document: Document) -> None:
    """Remove page chrome, wherever it is in the page; panels are shown under their labels."""
    settle_panels(document)
    document.remove(CHROME)
    for button in document.select("button,label"):
        names = " ".join(button.attr(name) or "" for name in ("id", "class", "title", "aria-label"))[:CLASS_CHARS]
        if COPY_WORDS.search(names) or button.closest("h1,h2,h3,h4,h5,h6,p,li,td,dt") is None:
            button.decompose()


def container(document: Document) -> Element | None:
    """Return the element that holds the content, or None where the page's structure does not say."""
    body = document.select_one("body")
    if body is None:
        return None
    prose = prose_length(body)
    for selector in CONTAINERS:
        least = 1 if selector.startswith("main") else MIN_CONTAINER_CHARS
        found = [element for element in body.select(selector) if text_length(element) >= least]
        if not found:
            continue
        if selector == "article" and len(found) > 1:
            best = common_parent(found)
        else:
            best = max(found, key=text_length)
            best = narrowed(best) if selector.startswith("main") else best
        if prose < MIN_PROSE_CHARS or prose_length(best) >= MIN_PROSE_SHARE * prose:
            return best
    return None


def prose_length(element: Element) -> int:
    """Return the number of characters in paragraphs."""
    return sum(len(paragraph.text) for paragraph in element.select("p"))


def narrowed(main: Element) -> Element:
    """Return the single article inside `main` where it holds most of its text."""
    articles = [element for element in main.select("article") if element.parent is not None]
    if len(articles) == 1 and text_length(articles[0]) >= 0.5 * text_length(main):
        return articles[0]
    return main


def common_parent(elements: list[Element]) -> Element:
    """Return the longest element where it dwarfs the others, else the closest ancestor of all."""
    longest = max(elements, key=text_length)
    rest = sum(
        text_length(element) for element in elements if element is not longest and not is_inside(element, longest)
    )
    if text_length(longest) > 2 * rest:
        return longest
    for ancestor in longest.ancestors:
        if isinstance(ancestor, Element) and all(is_inside(element, ancestor) for element in elements):
            return ancestor
    return longest


def is_inside(element: Element, ancestor: Element) -> bool:
    """Return whether `element` is `ancestor` or is inside it."""
    return element is ancestor or element == ancestor or any(one == ancestor for one in element.ancestors)


def prune(root: Element) -> None:
    """Remove chrome inside the container: named so by class or id, page headers and footers, clouds of links."""
    unwrap_lists(root)
    whole = text_length(root)
    outer = root.select("aside,footer,#toc,.toc,.table-of-contents")
    for element in outer:
        if element.parent is not None and text_length(element) < 0.5 * whole:
            element.decompose()
    whole = text_length(root)
    named = [element for element in root.select("[class],[id]") if is_chrome(element, whole)]
    inside = set(named)
    outermost = [element for element in named if inside.isdisjoint(element.ancestors)]
    # Where that much seems to be chrome, the words mean something else on this site.
    if sum(text_length(element) for element in outermost) <= MAX_PRUNED_SHARE * whole:
        for element in outermost:
            element.decompose()


def unwrap_lists(root: Element) -> None:
    """Unwrap lists of whole sections, as javadoc writes them: a heading inside an item is none in Markdown."""
    sectioned = [item for item in root.select("li") if any(child.tag == "section" for child in elements_in(item))]
    sectioned += root.select("li.blockList,li.blockListLast")
    lists = {item.parent for item in sectioned if isinstance(item.parent, Element)}
    for item in [item for whole in lists for item in elements_in(whole)]:
        item.wrap(Element("div"))
        item.unwrap()
    for whole in lists:
        whole.wrap(Element("div"))
        whole.unwrap()


def is_chrome(element: Element, whole: int) -> bool:
    """Return whether the element's class or id calls it page chrome and it is not most of the text."""
    if element.tag in ("pre", "code", "main", "article", "body", "h1"):
        return False
    names = f"{element.attr('class') or ''} {'' if is_titled(element) else element.attr('id') or ''}"[:CLASS_CHARS]
    return (
        CHROME_WORDS.search(names) is not None
        and KEEP_WORDS.search(names) is None
        and text_length(element) < 0.4 * whole
        and element.closest("pre,code") is None
    )


def is_titled(element: Element) -> bool:
    """Return whether the element's id is a title's or name's: its own, or that of the first heading or cell in it."""
    if element.tag in TITLED:
        return True
    if element.tag == "tr":
        title = element.select_one("th,td")
    elif element.tag == "section" or BARE.fullmatch(element.attr("class") or ""):
        title = element.select_one("h2,h3,h4,h5,h6")
    else:
        return False
    return title is not None and title_words(title.text) == title_words(element.attr("id") or "")


def title_words(text: str) -> list[str]:
    """Return the words of a title or of the id made of it, which may have a number at its end."""
    words = _WORDS.findall(text.lower())
    return words[:-1] if len(words) > 1 and words[-1].isdigit() else words


def text_length(element: Element) -> int:
    """Return the number of characters of text that are no white space at the edges."""
    return len(element.text.strip())
