"""What a page shows one piece at a time, as text under its labels: tabs, accordions, and what is hidden until it is found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice

from turbohtml import Document, Element, Text

HEADED = "h1,h2,h3,h4,h5,h6,dt"
OUTSIDE = (
    "nav,header,footer,form,aside,dialog,[role=navigation],[role=tablist],[role=toolbar],[role=menu],[role=menubar],"
    "[role=dialog],[role=search],[role=banner],pre"
)
"""Where buttons are controls, not questions."""
CONTROLS = "button,select,textarea,label:not(:has(button)),[role=button]:not(button)"
MENUS = frozenset({"menu", "menubar", "dialog", "listbox", "navigation", "tooltip", "tree"})
OPENED = frozenset({"div", "section", "p", "ul", "ol", "dl", "article", "dd", "blockquote", "table"})
ACCORDION = re.compile(r"accordion|collaps|faq|question|disclosure|expand|spoiler", re.IGNORECASE)
MENU_NAMES = re.compile(r"nav|menu|sidebar|dropdown|drawer|modal|toc\b|search|cookie|consent", re.IGNORECASE)
NAME_CHARS = 300
NEIGHBOURS = 3
"""The white space around a button that stands alone, and more."""
MAX_BUTTONS = 1000
"""Each is looked at with what it opens, which may be the same large part of the page."""
MAX_LABEL_CHARS = 300


def settle_panels(document: Document) -> bool:
    """Show every panel, with its label as a line of its own in front of it; return whether there were any labels.

    Twice is safe.
    """
    for element in document.select("[hidden]"):
        if (element.attr("hidden") or "").strip().lower() == "until-found":
            show(element)
    ids: dict[str, Element] = {}
    for element in document.select("[id]"):
        ids.setdefault(element.attr("id") or "", element)
    drop_choices(document, ids)
    labelled = [*aria_tabs(document, ids), *radio_tabs(document, ids)]
    for label, panel in labelled:
        show(panel)
        text = words_in(label)
        # Accordions call the whole item a tab, with the panel inside it: its heading already leads to its text.
        if text and label not in panel.ancestors:
            label.decompose()
            panel.insert(0, line_of(text))
    return settle_accordions(document, ids) > 0 or bool(labelled)


def drop_choices(document: Document, ids: Mapping[str, Element]) -> None:
    """Remove tabs that choose what one and the same panel shows, but for the chosen one: the panel holds everything."""
    for tabs in [tablist.select("[role=tab]") for tablist in document.select("[role=tablist]")]:
        shown = {tab.attr("aria-controls") or "" for tab in tabs}
        if len(tabs) > 1 and len(shown) == 1 and shown <= ids.keys():
            for tab in tabs:
                if tab.attr("aria-selected") != "true":
                    tab.decompose()


def aria_tabs(document: Document, ids: Mapping[str, Element]) -> Iterator[tuple[Element, Element]]:
    """Yield tabs with their panels: as their attributes say, else as they follow each other."""
    panels = document.select("[role=tabpanel]")
    tab_of = {
        ids[target]: tab for tab in document.select("[role=tab]") if (target := tab.attr("aria-controls") or "") in ids
    }
    in_order = paired(document)
    used: set[Element] = set()
    for panel in panels:
        show(panel)
        named = ids.get((panel.attr("aria-labelledby") or "").partition(" ")[0])
        is_tab = named is not None and named.attr("role") == "tab"
        tab = named if is_tab else tab_of.get(panel) or in_order.get(panel)
        if tab is not None and tab not in used:
            used.add(tab)
            yield tab, panel


def paired(document: Document) -> dict[Element, Element]:
    """Return the tab of each panel where a list of tabs is followed by as many panels, or by that of the selected one."""
    lists: list[tuple[list[Element], list[Element]]] = []
    open_lists: list[tuple[list[Element], list[Element]]] = []
    for element in document.select("[role=tablist],[role=tabpanel]"):
        if element.attr("role") == "tablist":
            open_lists.append((element.select("[role=tab]"), []))
            lists.append(open_lists[-1])
        elif open_lists:
            tabs, panels = open_lists[-1]
            panels.append(element)
            if len(panels) >= len(tabs):
                open_lists.pop()
    found: dict[Element, Element] = {}
    for tabs, panels in lists:
        selected = [tab for tab in tabs if tab.attr("aria-selected") == "true"]
        if len(panels) == len(tabs):
            found.update(zip(panels, tabs, strict=True))
        elif len(panels) == len(selected) == 1:
            found[panels[0]] = selected[0]
    return found


def radio_tabs(document: Document, ids: Mapping[str, Element]) -> Iterator[tuple[Element, Element]]:
    """Yield the labels of radio buttons that show panels by style alone, with the panel after each or those after all."""
    groups: dict[str, list[Element]] = {}
    for label in document.select("label[for]"):
        button = ids.get(label.attr("for") or "")
        if button is not None and button.tag == "input" and (button.attr("type") or "").lower() == "radio":
            groups.setdefault(button.attr("name") or "", []).append(label)
    for labels in groups.values():
        panels = [panel for label in labels if (panel := panel_after(label)) is not None]
        if len(panels) != len(labels):
            parent = labels[0].parent
            blocks = panel_after(parent) if isinstance(parent, Element) else None
            panels = [child for child in blocks.children if isinstance(child, Element)] if blocks is not None else []
        if len(panels) == len(labels):
            yield from zip(labels, panels, strict=True)


def settle_accordions(document: Document, ids: Mapping[str, Element]) -> int:
    """Show what buttons of accordions open, and write these as lines of text; return how many there were."""
    count = 0
    judged: dict[Element, bool] = {}
    for button in document.select("button")[:MAX_BUTTONS]:
        text = words_in(button)
        opened = ids.get(button.attr("aria-controls") or "") or beside(button)
        if not text or opened is None or not is_question(button, text, opened):
            continue
        if opened not in judged:
            judged[opened] = is_content(opened)
        if not judged[opened]:
            continue
        count += 1
        show(opened)
        if button.closest(HEADED) is None:
            button.replace_with(line_of(text))
    return count


def beside(button: Element) -> Element | None:
    """Return the block after a button, or after what holds nothing but the button."""
    parent = button.parent
    if (after := panel_after(button)) is not None or not isinstance(parent, Element):
        return after
    alone = not any(
        isinstance(other, Element) or other.text.strip()
        for others in (button.previous_siblings, button.next_siblings)
        for other in islice(others, NEIGHBOURS)
    )
    return panel_after(parent) if alone else None


def is_question(button: Element, text: str, opened: Element) -> bool:
    """Return whether a button calls itself one that opens a part of the page, and no menu."""
    parent = button.parent
    around = parent.attr("class") or "" if isinstance(parent, Element) else ""
    names = f"{button.attr('class') or ''} {around}"[:NAME_CHARS]
    says_so = "aria-expanded" in button.attrs or ACCORDION.search(names) is not None or text.endswith("?")
    target = f"{opened.attr('class') or ''} {opened.attr('id') or ''}"[:NAME_CHARS]
    return says_so and MENU_NAMES.search(f"{names} {target}") is None and button.closest(OUTSIDE) is None


def is_content(opened: Element) -> bool:
    """Return whether what a button opens is a part of the page's text: no menu, no dialogue, and more than controls.

    A shop's filters open lists of buttons.
    """
    if opened.tag not in OPENED or (opened.attr("role") or "").lower() in MENUS or opened.closest(OUTSIDE) is not None:
        return False
    controls = sum(len("".join(control.text.split())) for control in opened.select(CONTROLS))
    return opened.select_one("nav") is None and len("".join(opened.text.split())) > controls


def panel_after(element: Element) -> Element | None:
    """Return the block that directly follows `element`, or None."""
    for sibling in element.next_siblings:
        if isinstance(sibling, Element):
            return sibling if sibling.tag in OPENED else None
        if sibling.text.strip():
            return None
    return None


def show(element: Element) -> None:
    """Let nothing hide an element."""
    for name in ("hidden", "aria-hidden"):
        if name in element.attrs:
            del element.attrs[name]


def line_of(text: str) -> Element:
    """Return a label as a paragraph."""
    return Element("p", None, [Element("strong", None, [Text(text)])])


def words_in(element: Element) -> str:
    """Return an element's text on one line; '' for what is too long to be a label."""
    text = " ".join(element.text.split())
    return text if len(text) <= MAX_LABEL_CHARS else ""
