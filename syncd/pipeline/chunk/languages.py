"""Which grammar reads a file: by its name, its suffix, its first line, and for a few shared suffixes by its content.

Every grammar of tree-sitter-language-pack 0.13.0 is here; they are in the wheel, so nothing is ever downloaded.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TypeGuard, get_args

from tree_sitter import Language
from tree_sitter_language_pack import SupportedLanguage, get_language

MARKDOWN_GRAMMAR = "markdown"
ASCIIDOC = "asciidoc"
"""No grammar of the wheel: only `markups` knows it."""
_SUPPORTED = frozenset(get_args(SupportedLanguage))

_SUFFIXES = """
actionscript as|ada adb ads|agda agda lagda|apex apex trigger cls|arduino ino|asm asm s nasm|astro astro
bash sh bash zsh ksh bats command ebuild|beancount beancount|bibtex bib|bicep bicep bicepparam|bitbake bb bbappend bbclass
bsl bsl os|c c h|cairo cairo|capnp capnp|chatito chatito|clarity clar|clojure clj cljs cljc edn bb.clj|cmake cmake
cobol cob cbl cpy cobol|commonlisp lisp lsp cl asd|cpon cpon|cpp cc cpp cxx c++ hpp hh hxx h++ ipp inl tpp txx cppm ixx ino.cpp
csharp cs csx|css css|csv csv|cuda cu cuh|d d di|dart dart|dockerfile dockerfile containerfile|dtd dtd ent
elisp el|elixir ex exs|elm elm|embeddedtemplate erb ejs|erlang erl hrl escript|fennel fnl|firrtl fir|fish fish
fortran f for f77 f90 f95 f03 f08|fsharp fs fsx|fsharp_signature fsi|func fc func|gdscript gd|gleam gleam
glsl glsl vert frag geom comp tesc tese rgen rchit rmiss|gn gn gni|go go|graphql graphql gql graphqls
groovy groovy gradle gvy gy|gstlaunch gstlaunch|hack hack hhi|hare ha|haskell hs hs-boot|haxe hx|hcl hcl nomad
heex heex neex leex|hlsl hlsl hlsli fx fxh|html html htm xhtml|hyprlang hl|ini ini cfg inf desktop editorconfig
ispc ispc|janet janet jdn|java java jav|javascript js mjs cjs jsx es es6|json json jsonc json5 geojson topojson webmanifest
json ipynb avsc har code-workspace|jsonnet jsonnet libsonnet|julia jl|kconfig kconfig|kdl kdl|kotlin kt kts ktm
latex tex sty ltx latex|linkerscript ld lds|llvm ll|lua lua rockspec|luau luau|magik magik|make mk mak make
markdown md markdown mdown mkd mkdn mdx qmd rmd|matlab m|mermaid mmd mermaid|netlinx axs axi|nim nim nims nimble|ninja ninja
nix nix|nqc nqc|objc mm|ocaml ml|ocaml_interface mli|odin odin|org org|pascal pas dpr dpk lpr|pem pem|perl pl pm
pgn pgn|php php phtml php3 php4 php5 phps|po po pot|pony pony|powershell ps1 psm1 psd1|prisma prisma
properties properties|proto proto|psv psv|puppet pp|purescript purs|python py pyi pyw|qmljs qml|query tsq|r r
racket rkt rktd rktl|re2c re2c re|rego rego|ron ron|rst rst rest|ruby rb rake gemspec ru podspec jbuilder|rust rs
scala scala sc sbt|scheme scm ss sld sls|scss scss|smali smali|smithy smithy|solidity sol|sparql sparql rq
sql sql ddl dml psql|squirrel nut|starlark bzl star sky|svelte svelte|swift swift|tablegen td|tcl tcl tk itcl
terraform tf tfvars|thrift thrift|toml toml|tsv tsv tab|tsx tsx|twig twig|typescript ts mts cts|typst typ|udev rules
ungrammar ungram|uxntal tal|v v vsh|verilog sv svh vh|vhdl vhd vhdl vho|vim vim|vue vue|wast wast|wat wat|wgsl wgsl
xml xml xsd xsl xslt svg wsdl rss atom plist csproj fsproj vbproj props targets resx xaml pom kml gpx|yaml yaml yml
yuck yuck|zig zig zon
"""
_NAMES = """
bash .bashrc .bash_profile .bash_aliases .profile .zshrc .zshenv .zprofile .envrc pkgbuild apkbuild configure
cmake cmakelists.txt|dockerfile dockerfile containerfile|gitattributes .gitattributes
gitcommit commit_editmsg merge_msg|gitignore .gitignore .dockerignore .npmignore .eslintignore .prettierignore .helmignore
gomod go.mod|gosum go.sum|groovy jenkinsfile|hyprlang hyprland.conf hyprpaper.conf hyprlock.conf
ini .editorconfig .gitconfig .npmrc .pylintrc .flake8 setup.cfg|json .babelrc .eslintrc .prettierrc pipfile.lock composer.lock
kconfig kconfig|make makefile gnumakefile bsdmakefile|meson meson.build meson_options.txt meson.options
pymanifest manifest.in|python sconstruct sconscript wscript|qmldir qmldir
query highlights.scm injections.scm locals.scm folds.scm indents.scm textobjects.scm tags.scm
readline .inputrc inputrc|requirements requirements.txt requirements.in constraints.txt
ruby rakefile gemfile guardfile vagrantfile podfile brewfile capfile fastfile dangerfile
starlark build build.bazel workspace workspace.bazel module.bazel tiltfile buck|tcl modulefile
toml cargo.lock poetry.lock pdm.lock uv.lock pipfile|vim .vimrc .gvimrc .exrc|xcompose .xcompose compose
yaml .clang-format .clang-tidy .yamllint .gemrc
"""
_COMMANDS = """
bash sh bash zsh dash ksh ash bats|elixir elixir iex|erlang escript|fish fish|groovy groovy|javascript node nodejs bun
julia julia|lua lua luajit|make make|perl perl|php php|powershell pwsh|python python pypy uv|r rscript|racket racket
ruby ruby jruby|tcl tclsh wish expect|typescript deno ts-node tsx
"""
EMBEDDED = frozenset(("comment", "doxygen", "jsdoc", "luadoc", "luap", "markdown_inline", "printf", "test"))
"""Grammars of things that stand inside other files, or that no name tells: in the wheel, but no file is read with them."""


def _table(text: str) -> dict[str, str]:
    """Return word -> grammar of lines like `grammar word word|grammar word`."""
    table: dict[str, str] = {}
    for entry in text.replace("\n", "|").split("|"):
        grammar, *words = entry.split() or [""]
        table.update(dict.fromkeys(words, grammar))
    return table


SUFFIXES = _table(_SUFFIXES)
"""Suffix in lower case without its dot -> grammar."""
NAMES = _table(_NAMES)
"""Whole file name in lower case -> grammar."""
INTERPRETERS = _table(_COMMANDS)
"""Interpreter of a `#!` line -> grammar."""

_SHEBANG = re.compile(rb"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*(?:\S*/)?)?([A-Za-z][A-Za-z_-]*)")
_CONTENT: dict[str, tuple[tuple[re.Pattern[bytes], str], ...]] = {
    "h": (
        (re.compile(rb"^[^\S\n]*(?:@interface|@protocol|@import|#import)\b", re.M), "objc"),
        (re.compile(rb"^[^\S\n]*(?:namespace\b|template\s*<|class\s+\w+|using\s+\w|public:|private:)", re.M), "cpp"),
    ),
    "m": ((re.compile(rb"^[^\S\n]*(?:@interface|@implementation|@protocol|@import|#import)\b", re.M), "objc"),),
    "v": ((re.compile(rb"^[^\S\n]*endmodule\b", re.M), "verilog"),),
    "ts": ((re.compile(rb"^\s*<\?xml|^\s*<!DOCTYPE TS"), "xml"),),
    "cls": ((re.compile(rb"\\(?:ProvidesClass|NeedsTeXFormat|LoadClass)"), "latex"),),
}
"""Suffixes that several languages share -> what to look for, and the grammar then."""
_LOOK_BYTES = 1 << 16
_WITHOUT_GRAMMAR = _table(f"{ASCIIDOC} adoc asciidoc asciidoctor")


def grammar_of(path: str, data: bytes) -> str:
    """Return the grammar for a file of this name and content, '' when there is none."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1].lower()
    suffix = name.rsplit(".", 1)[-1] if "." in name else ""
    for pattern, grammar in _CONTENT.get(suffix, ()):
        if pattern.search(data[:_LOOK_BYTES]):
            return grammar
    if found := NAMES.get(name) or SUFFIXES.get(suffix) or _WITHOUT_GRAMMAR.get(suffix):
        return found
    if name.startswith("requirements") and suffix in ("txt", "in"):
        return "requirements"
    if found := NAMES.get(name.split(".", 1)[0]):
        return (
            found if name.startswith(("dockerfile.", "containerfile.", "makefile.", "kconfig.", "jenkinsfile.")) else ""
        )
    command = _SHEBANG.match(data[:200])
    return INTERPRETERS.get(command.group(1).decode().lower(), "") if command else ""


def is_supported(name: str) -> TypeGuard[SupportedLanguage]:
    """Tell whether the wheel has a grammar of this name."""
    return name in _SUPPORTED


@cache
def grammar(name: str) -> Language | None:
    """Return the loaded grammar, None when the wheel has none of that name."""
    try:
        return get_language(name) if is_supported(name) else None
    except (LookupError, ImportError, OSError, AttributeError):
        return None
