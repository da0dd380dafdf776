"""The report's labels in one language."""

from typing import Final, Literal

from services.demo.report.story import Phrase
from services.demo.report.texts import TEXTS

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
HTML_LANG: Final[dict[Language, str]] = {"en": "en", "zh": "zh-Hans"}


class Wording:
    """Says labels and phrases in its language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.html_lang = HTML_LANG[language]

    def __call__(self, key: str, **values: object) -> str:
        """Return a label with its values filled in. Raises KeyError for one that is missing."""
        label = self.of(TEXTS[key])
        return label.format(**values) if values else label

    def of(self, phrase: Phrase) -> str:
        return phrase.en if self.language == "en" else phrase.zh

    def coded(self, group: str, code: str) -> str:
        """Return the label of a word of the ledger, or the word itself where there is none."""
        label = TEXTS.get(f"{group}_{code}")
        return code if label is None else self.of(label)
