"""PDFs of one page, written by hand: lines at their places, a structure tree, notes and attachments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.pipeline.parse.documents import pdf_file

Node = tuple[str, Sequence["Node | int | str"]] | tuple[str, Sequence["Node | int | str"], str]
"""A structure element: its type, its children (elements, marked-content ids, references as they are), and what else it has."""

_PAGE, _CONTENT, _FONT, _TREE = 3, 4, 5, 6


def line(text: str, x: float = 72, y: float = 720, mark: int | str | None = None, size: float = 12) -> str:
    """What draws a line of text, as marked content where `mark` is its id or its tag."""
    drawn = f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET"
    if mark is None:
        return drawn
    tag = f"/{mark} BMC" if isinstance(mark, str) else f"/P <</MCID {mark}>> BDC"
    return f"{tag} {drawn} EMC"


def lines(texts: Sequence[tuple[int | str | None, str]], y: float = 720, leading: float = 24) -> str:
    """What draws lines below each other, given with their marks."""
    return "\n".join(line(text, 72, y - leading * at, mark) for at, (mark, text) in enumerate(texts))


def page_of(drawn: str, page: str = "", catalog: str = "", more: Sequence[bytes] = (), resources: str = "") -> bytes:
    """A page that draws this. The objects of `more` are numbered from 6; `page` and `catalog` are entries of these."""
    content = drawn.encode()
    return pdf_file(
        [
            f"<</Type/Catalog/Pages 2 0 R{catalog}>>".encode(),
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>"
            f"{resources}>>{page}>>".encode(),
            b"<</Length %d>>stream\n" % len(content) + content + b"\nendstream",
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
            *more,
        ]
    )


def tagged(
    drawn: str,
    tree: Sequence[Node],
    roles: Mapping[str, str] | None = None,
    page: str = "",
    more: Sequence[bytes] = (),
    resources: str = "",
) -> bytes:
    """A page with a structure tree; the objects of `more` are numbered behind the tree's."""
    objects: list[bytes] = [b""]
    parents: dict[int, int] = {}
    kids = " ".join(f"{_added(node, _TREE, objects, parents)} 0 R" for node in tree)
    table = " ".join(f"{parents[at]} 0 R" if at in parents else "null" for at in range(max(parents, default=-1) + 1))
    role_map = "".join(f"/{own}/{standard}" for own, standard in (roles or {}).items())
    objects[0] = f"<</Type/StructTreeRoot/K[{kids}]/ParentTree<</Nums[0[{table}]]>>/RoleMap<<{role_map}>>>>".encode()
    marked = f"/MarkInfo<</Marked true>>/StructTreeRoot {_TREE} 0 R"
    return page_of(drawn, f"/StructParents 0{page}", marked, [*objects, *more], resources)


def _added(node: Node, parent: int, objects: list[bytes], parents: dict[int, int]) -> int:
    number = _TREE + len(objects)
    objects.append(b"")
    kids: list[str] = []
    for child in node[1]:
        if isinstance(child, int):
            parents[child] = number
        kids.append(f"{_added(child, number, objects, parents)} 0 R" if isinstance(child, tuple) else str(child))
    more = node[2] if len(node) > 2 else ""
    objects[number - _TREE] = (
        f"<</Type/StructElem/S/{node[0]}/P {parent} 0 R/Pg {_PAGE} 0 R/K[{' '.join(kids)}]{more}>>".encode()
    )
    return number
