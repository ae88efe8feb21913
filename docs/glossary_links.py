"""The first use of a glossary term on a page links to the glossary, so that notebooks need no markup for it."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

GLOSSARY = Path(__file__).parent / "guide" / "glossary.md"
NOT_INSIDE = (
    nodes.literal,
    nodes.literal_block,
    nodes.reference,
    nodes.title,
    nodes.math,
    nodes.math_block,
    pending_xref,
)


def terms():
    "Term -> pattern; the terms are the lines that a definition follows."
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    found = [term for term, below in zip(lines, lines[1:]) if term and below.startswith(": ")]
    return {term: re.compile(rf"\b{re.escape(term)}(?:s|es)?\b", re.I) for term in found}


# Everyday words are linked only where they have the glossary's meaning.
RUNS = ("runs/", "reporting/", "papers/", "results/", "guide/", "evaluation/", "training/", "run/")
PAGES = {
    "teacher": ("index",),
    "student": ("index",),
    "block": RUNS,
    "pair": RUNS,
    "claim": RUNS,
    "record": ("index", *RUNS),
}


class LinkFirstUse(SphinxTransform):
    default_priority = 400
    patterns = terms()

    def apply(self, **given):
        page = self.env.docname
        if page.startswith(("api/", "guide/glossary", "records/")):
            return
        left = {term: found for term, found in self.patterns.items() if page.startswith(PAGES.get(term, ("",)))}
        for text in list(self.document.findall(nodes.Text)):
            if any(
                isinstance(above, NOT_INSIDE) or "in-this-project" in above.get("classes", ())
                for above in ancestors(text)
            ):
                continue
            self.link(text, left)

    def link(self, text, left):
        "Replaces the first use of each term that is left by a link; at most one a piece of text."
        for term, pattern in left.items():
            found = pattern.search(text)
            if not found:
                continue
            link = pending_xref("", refdomain="std", reftype="term", reftarget=term, refexplicit=True, refwarn=True)
            link["refdoc"] = self.env.docname
            link += nodes.inline("", found.group(), classes=["xref", "std", "std-term"])
            pieces = [nodes.Text(text[: found.start()]), link, nodes.Text(text[found.end() :])]
            text.parent.replace(text, [piece for piece in pieces if piece.astext()])
            del left[term]
            return


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.Element):
            yield node


def setup(app):
    app.add_transform(LinkFirstUse)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
