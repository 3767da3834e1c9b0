"""Converts a corpus with a peer, run by the Python of the environment the peer is installed in.

    PYTHON tests/benchmarks/parsing_peers.py markitdown|docling CORPUS OUT

Writes OUT/<id>.md for each file of CORPUS/index.json the peer can read, and on stdout one line of JSON: files, CPU seconds,
peak memory. Imports are paid once, as in a service. `docling` is its part that needs no models: all formats but PDF and images.
"""

import importlib
import json
import pkgutil
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 120
ODF = {"odt", "ods", "odp"}
BACKENDS = {
    "docx": ("msword_backend", "MsWordDocumentBackend", "DOCX"),
    "pptx": ("mspowerpoint_backend", "MsPowerpointDocumentBackend", "PPTX"),
    "xlsx": ("msexcel_backend", "MsExcelDocumentBackend", "XLSX"),
    "xlsm": ("msexcel_backend", "MsExcelDocumentBackend", "XLSX"),
    "xltx": ("msexcel_backend", "MsExcelDocumentBackend", "XLSX"),
    "html": ("html_backend", "HTMLDocumentBackend", "HTML"),
    "csv": ("csv_backend", "CsvDocumentBackend", "CSV"),
    "epub": ("epub_backend", "EpubDocumentBackend", "EPUB"),
}


def markitdown() -> Callable[[Path], str]:
    converter = importlib.import_module("markitdown").MarkItDown()
    return lambda path: converter.convert(str(path)).text_content


def docling() -> Callable[[Path], str]:
    formats = importlib.import_module("docling.datamodel.base_models").InputFormat
    document = importlib.import_module("docling.datamodel.document").InputDocument

    def convert(path: Path) -> str:
        backend, name = odf_backend(path) if path.suffix[1:] in ODF else known_backend(path)
        opened = document(path_or_stream=path, format=formats[name], backend=backend, filename=path.name)
        return opened._backend.convert().export_to_markdown()

    return convert


def known_backend(path: Path) -> tuple[object, str]:
    module, backend, name = BACKENDS[path.suffix[1:]]
    found = importlib.import_module(f"docling.backend.{module}")
    fallback = next(each for each in dir(found) if each.lower() == backend.lower())
    return getattr(found, fallback), name


def odf_backend(path: Path) -> tuple[object, str]:
    package = importlib.import_module("docling.backend")
    (module,) = (m.name for m in pkgutil.iter_modules(package.__path__) if "odf" in m.name or "opendocument" in m.name)
    found = importlib.import_module(f"docling.backend.{module}")
    name = path.suffix[1:].upper()
    for each in vars(found).values():
        own = isinstance(each, type) and each.__module__ == found.__name__ and each.__name__.endswith("Backend")
        if own and any(kind.name == name for kind in each.supported_formats() or ()):
            return each, name
    raise LookupError(name)


def main() -> None:
    warnings.simplefilter("ignore")
    tool, corpus, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    convert = {"markitdown": markitdown, "docling": docling}[tool]()
    done = 0
    for item in json.loads((corpus / "index.json").read_text()):
        path = corpus / item["file"]
        if tool == "docling" and path.suffix[1:] not in {*BACKENDS, *ODF}:
            continue
        try:
            signal.alarm(LIMIT_S)
            (out / f"{item['id']}.md").write_text(convert(path))
            done += 1
        except Exception as error:
            print(f"{tool}: {item['file']}: {type(error).__name__}: {str(error)[:200]!r}", file=sys.stderr)
        finally:
            signal.alarm(0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"files": done, "cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}
    print(json.dumps(figures))


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    main()
