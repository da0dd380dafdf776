"""The report as one HTML page that needs nothing else: no script, no network, no other file."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.demo.report import figures
from services.demo.report.charts import days_chart, drop_chart, leverage_chart
from services.demo.report.check_texts import description_in_chinese, grouped
from services.demo.report.flow import flow_chart, place_name, places
from services.demo.report.story import MoneyFlow, Stop, Story
from services.demo.report.wording import LANGUAGES, Wording

_HERE: Final = Path(__file__).parent
_PAID: Final = (Stop.PAID_BANK, Stop.PAID_ECNY)
_BACK: Final = (Stop.RETURNED, Stop.UNDRAWN, Stop.BUDGET)
_FILTERS: Final = (
    figures.yuan,
    figures.difference,
    figures.count,
    figures.ratio,
    figures.seconds,
    figures.milliseconds,
    figures.city_minute,
)


def render(story: Story) -> str:
    """Return the page, in English with the Chinese beside it, one of them shown.

    Whatever the story's texts contain is shown, never obeyed: the template escapes it, and the
    page's own policy lets it load nothing and run no script but its own.
    """
    script = (_HERE / "templates" / "switch.js").read_text(encoding="utf-8")
    environment = _environment()
    environment.globals |= {
        "Stop": Stop,
        "chinese": description_in_chinese,
        "none_sign": figures.NONE,
        "percent": figures.percent,
        "paid_fen": _paid_fen,
        "back_fen": _back_fen,
        "drop_chart": drop_chart,
        "days_chart": days_chart,
        "leverage_chart": leverage_chart,
        "flow_chart": flow_chart,
        "places": places,
        "place_name": place_name,
    }
    return environment.get_template("page.html.jinja").render(
        story=story,
        wordings=[Wording(language) for language in LANGUAGES],
        groups=grouped(story.checks),
        programme_names=lambda words: words("list_and").join(
            words.of(programme.name) for programme in story.programmes
        ),
        style=(_HERE / "style.css").read_text(encoding="utf-8"),
        script=script,
        policy=_policy(script),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {write.__name__: write for write in _FILTERS}
    return environment


def _policy(script: str) -> str:
    """Return a policy under which the page runs this script and asks nobody for anything."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
        f" script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _paid_fen(money: MoneyFlow) -> int:
    return sum(money.came_fen(stop) for stop in _PAID)


def _back_fen(money: MoneyFlow) -> int:
    return sum(money.came_fen(stop) for stop in _BACK)
