# ruff: noqa: RUF001 - texts in many scripts
"""Words-only search in fourteen languages: `python -m tests.benchmarks.words`, a small set of our own, and what analysis costs.

Each text is one document of one collection, each query has one text that answers it: words in another form, case or spelling than the
text's, parts of its words, names in another script's text. Printed: the share of queries whose answer is first, and among the first
three, by analyser. Beside syncd's stand the rules of two of Lucene's analysers, written down here and not Lucene itself:

- standard: UAX #29's words (letters with their marks; each ideograph, each hiragana alone; katakana, hangul and Thai in runs), NFKC,
  case and accents folded (StandardTokenizer with ICUNormalizer2Filter and ICUFoldingFilter)
- CJK: the same words, but pairs of neighbours among Han, kana and hangul, width and case folded, accents kept, English stop words
  dropped (CJKAnalyzer)

Lucene's ICUTokenizer cuts Thai, Khmer, Lao, Burmese and Chinese by dictionaries, which is not imitated.

`--cost FILE.jsonl.gz …` (documents {path, text}) prints terms, analysis and the memory of the index, before and after, by turns.
"""

import argparse
import gzip
import json
import re
import time
import unicodedata
from pathlib import Path

import numpy as np

from syncd.pipeline.sparse.bm25 import chroma_bm25, code_bm25
from syncd.pipeline.sparse.scripts import COMBINING_MARKS
from syncd.pipeline.sparse.stopwords import STOPWORDS
from syncd.pipeline.sparse.tokens import hashed
from syncd.pipeline.sparse.weights import weigh
from syncd.search.lexical import best
from tests.benchmarks.retrieval import lists_of

CHUNK_CHARACTERS = 1200

SET = {
    "German": [
        ("Die Fähren legen morgens im alten Hafen ab und sind bei Sturm nicht in Betrieb.", ["Fähre", "fahre sturm", "HÄFEN"]),
        ("Das Gesamt\u00adkonzept der Stadtwerke ist für die nächsten zehn Jahre und wird von der Verwaltung geprüft.", ["Gesamtkonzept", "prüfen Verwaltungen"]),
        ("Der Bäcker backt die Brötchen nicht mit Hefe, und auch das Brot ist aus der Region.", ["Brot backen", "baecker hefe region"]),
        ("Häuser an der Straße werden mit Holz geheizt, das aus den Wäldern der Gemeinde ist.", ["Haus STRASSE", "Wald Holz"]),
    ],
    "French": [
        ("Les chevaux sont dans le pré avec les vaches, et le fermier les rentre le soir pour la nuit.", ["cheval", "fermiers"]),
        ("La création de l’œuvre est décrite dans les archives de la bibliothèque nationale.", ["oeuvre", "CREATIONS bibliothèques"]),
        ("Le fromage est affiné dans une cave qui est creusée sous la montagne par des moines.", ["caves creuser", "montagnes fromages"]),
        ("Les fenêtres du théâtre ont été réparées par un artisan, mais le toit ne l’est pas.", ["fenetre theatre", "réparation artisans"]),
    ],
    "Spanish": [
        ("Las canciones de los marineros se oyen en el puerto por la noche y no en el pueblo.", ["canción", "cancion marinero"]),
        ("El pan se hace con harina de trigo y se cuece en un horno de leña como antes.", ["hornos panes", "harinas"]),
        ("Los árboles del parque son de la época en que la ciudad no tenía una muralla.", ["arbol", "ciudades murallas"]),
        ("El motor de la bomba se para con un botón rojo que está en la puerta del taller.", ["botones", "bombas motores"]),
    ],
    "Italian": [
        ("Le navi che sono nel porto non partono con il vento di scirocco, e la gente resta a terra.", ["nave", "porti venti"]),
        ("La qualità del vino è controllata da un consorzio che assaggia le bottiglie della cantina.", ["qualita", "bottiglia cantine"]),
    ],
    "Portuguese": [
        ("As configurações do servidor não são guardadas com os dados que a rede recebe.", ["configuração", "configuracao redes"]),
        ("Os barcos de pesca voltam com a maré, e o peixe é vendido no mercado da praia.", ["barco peixes", "mares"]),
    ],
    "Dutch": [
        ("De bruggen van de stad gaan voor de schepen open en zijn dan niet te gebruiken voor het verkeer.", ["brug", "schip verkeer bruggen"]),
        ("Het water in de polder wordt door molens naar een kanaal gepompt dat met de zee in verbinding is.", ["molen", "kanalen polders"]),
    ],
    "Russian": [
        ("В гавани стоят корабли, и это не всё: на них есть книги, что для города как праздник.", ["книга", "корабль все"]),
        ("Ёлки растут на склоне, и их не рубят, так как это по закону для леса не дано.", ["елка", "склоны закон"]),
    ],
    "Chinese": [
        ("使用Chroma数据库保存向量，并用关键词检索文档。", ["chroma", "数据库", "检索关键词"]),
        ("茶馆在老城区的河边，早上卖豆浆和油条。", ["茶", "油条豆浆", "河边的茶馆"]),
        ("高速铁路的列车每小时行驶三百公里。", ["铁路", "高铁列车"]),
        ("医生建议病人每天散步，多喝水，少吃盐。", ["散步", "病人喝水"]),
    ],
    "Japanese": [
        ("東京駅から新幹線で京都へ行き、お寺を見ました。", ["新幹線", "京都のお寺"]),
        ("ｶﾞｲﾄﾞﾌﾞｯｸはインストール手順とエラーの対処法を説明します。", ["ガイドブック", "インストールのエラー"]),
        ("猫が窓のそばで寝ている間に雨が降り始めた。", ["猫", "雨が降る"]),
    ],
    "Korean": [
        ("서울에서는 지하철로 출근하는 사람이 많다.", ["서울", "지하철 출근"]),
        ("집에서 김치를 담그려면 배추와 소금이 필요하다.", ["김치", "집 배추"]),
        (unicodedata.normalize("NFD", "도서관은 월요일에 문을 닫는다."), ["도서관", "월요일"]),
    ],
    "Thai": [
        ("ร้านอาหารริมแม่น้ำเปิดตอนเย็นและขายปลาย่าง", ["แม่น้ำ", "ปลาย่าง"]),
        ("นักเรียนอ่านหนังสือในห้องสมุดของโรงเรียน", ["ห้องสมุด", "หนังสือ"]),
    ],
    "Hindi": [
        ("किसान सुबह खेत में पानी देता है और बैल चराता है।", ["खेत पानी", "किसान"]),
        ("पुस्तकालय में हिन्दी की किताबें रखी हैं।", ["हिन्दी", "पुस्तकालय"]),
    ],
    "Arabic": [
        ("كَتَبَ المُعَلِّمُ الدَّرْسَ على السبورة أمام الطلاب.", ["المعلم", "الدرس السبورة"]),
        ("تصل السفن إلى الميناء في الصباح محملة بالقمح.", ["الميناء", "السفن"]),
    ],
    "Hebrew": [
        ("שָׁלוֹם לכל התלמידים בכיתה החדשה.", ["שלום", "התלמידים"]),
        ("הספינה יוצאת מהנמל בשעה שבע בבוקר.", ["הספינה", "בבוקר"]),
    ],
    "code and names": [
        ("The parser is written in C++17 and calls a C library.", ["C++", "C++17 parser"]),
        ("The client for .NET is written in F# and C#.", [".NET", "F#", "C# client"]),
        ("Since version 3.2.1 the cache is written twice.", ["3.2.1", "v3.2.1"]),
        ("Since version 1.3.2 the cache of 2 nodes is read twice.", ["1.3.2"]),
        ("The WHO published its report in May.", ["WHO", "who report"]),
        ("SELECT name FROM users WHERE id NOT IN (SELECT id FROM gone)", ["NOT IN"]),
        ("def getOrCreateCollection(name): return make(name)", ["get_or_create_collection", "create collection"]),
        ("commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 was reverted", ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]),
    ],
}  # fmt: skip

_CJK = "\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_UAX29 = re.compile(
    rf"[\u30a1-\u30fa\u30fc]+|[\uac00-\ud7a3]+|[{_CJK}]|(?:(?![{_CJK}])\w)(?:(?![{_CJK}])[\w{COMBINING_MARKS}])*"
)
_CJK_RUN = re.compile(rf"[{_CJK}]+|(?:(?![{_CJK}])\w)(?:(?![{_CJK}])[\w{COMBINING_MARKS}])*")


def without_accents(text):
    return "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) != "Mn")


def by_standard(text):
    plain = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).casefold()
    return [without_accents(word) for word in _UAX29.findall(plain)]


def by_cjk(text):
    words = []
    for run in _CJK_RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        pairs = [run[i : i + 2] for i in range(len(run) - 1)] if re.match(f"[{_CJK}]", run) else []
        words += pairs or [run]
    return [word for word in words if word not in STOPWORDS]


class Rules:
    """An encoder of words."""

    def __init__(self, words):
        self._words = words

    def vectors(self, texts, role):
        return [weigh([hashed(word) for word in self._words(text)]) for text in texts]


ANALYSERS = {
    "syncd/Code-BM25": code_bm25(),
    "syncd/Code-BM25, version 1": code_bm25().predecessors[0],
    "Chroma/BM25": chroma_bm25(),
    "Lucene's standard words, folded": Rules(by_standard),
    "Lucene's CJK rules": Rules(by_cjk),
}


def ranks(encoder):
    """Return for each language the ranks of the answers, beginning at 0; infinite for what is not found."""
    texts = [text for pairs in SET.values() for text, _ in pairs]
    lexical, number, found = lists_of(encoder.vectors(texts, "document")), 0, {}
    for language, pairs in SET.items():
        for _, queries in pairs:
            for vector in encoder.vectors(queries, "query"):
                order = best(lexical.scores(vector, uses_idf=True), len(texts)).tolist()
                found.setdefault(language, []).append(order.index(number) if number in order else np.inf)
            number += 1
    return found


def show_recall():
    for name, encoder in ANALYSERS.items():
        found = ranks(encoder)
        every = [rank for some in found.values() for rank in some]
        first = " ".join(f"{language} {np.mean(np.array(some) < 1):.2f}" for language, some in found.items())
        print(f"{name}: first {np.mean(np.array(every) < 1):.3f}, first three {np.mean(np.array(every) < 3):.3f} of {len(every)}\n    {first}")  # fmt: skip


def show_cost(files):
    code = code_bm25()
    for file in files:
        texts = [json.loads(line)["text"] for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
        chunks = [text[start : start + CHUNK_CHARACTERS] for text in texts for start in range(0, len(text), CHUNK_CHARACTERS)]  # fmt: skip
        spent = {}
        for encoder in [*code.predecessors, code] * 5:
            start = time.process_time()
            vectors = encoder.vectors(chunks, "document")
            spent.setdefault(encoder.fingerprint, []).append(time.process_time() - start)
            terms = sum(len(vector.indices) for vector in vectors)
            size = lists_of(vectors).size_bytes
            if len(spent[encoder.fingerprint]) == 5:
                first, rest = spent[encoder.fingerprint][0], min(spent[encoder.fingerprint][1:])
                print(f"{file.name} {encoder.fingerprint}: {terms / len(chunks):.0f} terms a chunk, {terms / rest / 1000:.0f} thousand terms a CPU second ({terms / first / 1000:.0f} the first time), index {size / len(chunks):.0f} bytes a chunk")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    show_recall()
    show_cost(given.cost)
