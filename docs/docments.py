"""Comments behind parameters become parameter lists: what nbdev calls docments, for Sphinx's autodoc."""

import inspect
import re

from fastcore.docments import docments
from sphinx.util.typing import stringify_annotation


def as_rst(text):
    "The little Markdown of a docstring: `code` becomes ``code``, *emphasis* stays, nothing else is markup."
    parts = re.split(r"(`+[^`]*`+|(?<![\w*])\*\w[\w ]*\*(?![\w*]))", text)
    escaped = lambda part: part if re.fullmatch(r"\*\w.*\*", part) else re.sub(r"([\\*_|])", r"\\\1", part)
    return "".join(f"``{p.strip('`').strip()}``" if p.startswith("`") and p.strip("`") else escaped(p) for p in parts)


def described(obj):
    "Name -> (type, comment) of each parameter, `return` for what comes back; empty where there is no source."
    try:
        found = docments(obj, full=True, returns=True)
    except (TypeError, ValueError, OSError, AttributeError, NameError, SyntaxError):  # no source, as of a constant
        return {}
    return {name: (typed(about["anno"]), " ".join((about["docment"] or "").split())) for name, about in found.items()}


def typed(annotation):
    "A type as text; empty where there is none."
    if annotation in (None, inspect.Parameter.empty):
        return ""
    return annotation if isinstance(annotation, str) else stringify_annotation(annotation, "smart").replace("~", "")


def add_parameters(app, what, name, obj, options, lines):
    "Rewrites a docstring in place: prose, then parameters with their shapes, what is returned, and errors."
    text = "\n".join(lines)
    errors = re.findall(r"Raises ((?:\w+Error|\w+Exception|what)\b.*?)\.(?=\s|$)", text, flags=re.S)
    text = re.sub(r"\s*Raises (?:\w+Error|\w+Exception|what)\b.*?\.(?=\s|$)", "", text, flags=re.S)
    lines[:] = as_rst(text).splitlines()
    if what not in ("function", "method", "class", "exception"):
        return
    fields = []
    for parameter, (kind, comment) in described(obj).items():
        if parameter == "self" or (parameter == "return" and what == "class"):
            continue
        field, of_type = ("returns", "rtype") if parameter == "return" else (f"param {parameter}", f"type {parameter}")
        if comment or parameter != "return":
            fields.append(f":{field}: {as_rst(comment)}")
        if kind:
            fields.append(f":{of_type}: {kind}")
    for error in errors:
        kind, _, why = " ".join(error.split()).partition(" ")
        fields.append(f":raises {kind}: {as_rst(why)}" if kind != "what" else f":raises: {as_rst(error)}")
    lines += ["", *fields, ""]


def setup(app):
    app.connect("autodoc-process-docstring", add_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
