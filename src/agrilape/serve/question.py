"""A person's question, put as the model was taught to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from agrilape.dataset.prompt_templates import PromptTemplates, fill, load_prompt_templates
from agrilape.dataset.tasks import TASKS
from agrilape.dataset.types import Chip
from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Instant, Part, Point, Span
from agrilape.serve.coordinates import Place
from agrilape.serve.crop_lexicon import crop_lexicon
from agrilape.serve.matcher import match, read
from agrilape.serve.spoken_dates import Stretch
from agrilape.serve.training_questions import Training

Total = Literal["count", "hectares"]

_TOTALS: dict[str, tuple[Total, str]] = {
    "count": ("count", "crop_boxes"), "count.fields": ("count", "field_boxes"),
    "crop_area": ("hectares", "crop_boxes"), "area.fields": ("hectares", "field_boxes"),
}  # fmt: skip
"""What is asked of a whole map, by form: its unit, and the question whose answers are added up."""
_INSTEAD = {
    "crop_box": "crop_boxes", "crop_boxes": "crop_box", "crop_present": "crop_boxes",
    "field_outline": "field_at_point", "field_at_point": "field_outline", "scene_description": "field_boxes",
}  # fmt: skip
"""What a model that was not taught a form may be asked in its place."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        said: The question as it was asked.
        form: Key of the prompt template; None: asked word for word.
        template: The template, if it is one of training.
        crop: The crop that is asked about, as the model knows it.
        places: Places that it names.
        times: Dates that it names.
        part: Part of the image that it names, counted row by row.
        compass: Compass point that it names, counted from north.
        total: What is added up over the map, if the question asks for one number.
    """

    said: str
    form: str | None = None
    template: str | None = None
    crop: str | None = None
    places: tuple[Place, ...] = ()
    times: tuple[Stretch, ...] = ()
    part: int | None = None
    compass: int | None = None
    total: Total | None = None

    @property
    def task(self) -> str | None:
        """The task that its form belongs to."""
        return None if self.form is None else self.form.split(".")[0]

    @property
    def about_time(self) -> bool:
        """Does it ask for a date, or about one?"""
        task = TASKS.get(self.task or "")
        return task is not None and task.dated

    @property
    def day(self) -> date | None:
        """The one day that it names, of a question that is not itself about time."""
        if self.about_time or len(self.times) != 1 or not self.times[0].is_day:
            return None
        return self.times[0].start

    @property
    def places_at_once(self) -> int:
        """How many places one question of this form names."""
        return 0 if self.form is None else _slots(_wording(self.form, load_prompt_templates()))

    def text(self, language: str = "en") -> str:
        """The question in the words that the model is asked in, with places as they were said."""
        if self.form is None:
            return self.said
        names = iter([place.said for place in self.places] * 2)
        values = self._words(load_prompt_templates(language))
        values |= dict.fromkeys(("instant", "span", "first", "second"), "...")
        values |= {name: next(names, "...") for name in ("point", "other")}
        values["box"] = "; ".join(place.said for place in self.places)
        return self._template(language).format(**values)

    def parts(self, language: str, points: Sequence[Point], chip: Chip) -> tuple[Part, ...]:
        """The question as the model gets it.

        Args:
            language: Language of the training.
            points: The places, as points of the tile.
            chip: The tile.

        Raises:
            DataError: It asks about a date, and the tile has none or others.
        """
        if self.form is None:
            return (self.said,)
        template = self._template(language)
        values: dict[str, Part] = {**self._words(load_prompt_templates(language))}
        values |= dict(zip(("point", "other"), points, strict=False))
        if len(points) == 2:
            (a, b), (c, d) = points
            values["box"] = Box(min(a, c), min(b, d), max(a, c), max(b, d))
        if any(f"{{{name}}}" in template for name in ("instant", "span", "first", "second")):
            values |= self._dates(chip)
        return fill(template, values)

    def for_model(self, training: Training) -> Question:
        """The question as a model can be asked it: a form that it was taught, a crop that it has learnt.

        Raises:
            DataError: The model has not learnt the crop; with those that it has.
        """
        asked = self
        if self.form in _TOTALS and not self.places:
            total, form = _TOTALS[self.form]
            own = self.form in TASKS or self.form.split(".")[0] in TASKS
            adds_up = training.teaches(form) or not (own and training.teaches(self.form.split(".")[0]))
            asked = replace(asked, total=total, form=form if adds_up else self.form)
        if asked.task and not training.teaches(asked.task):
            instead = _INSTEAD.get(asked.form or "")
            if instead and training.teaches(instead):
                asked = replace(asked, form=instead)
        if asked.form != self.form:
            asked = replace(asked, template=None)
        if asked.crop and training.crops:
            lexicon = crop_lexicon(tuple(sorted(training.crops)))
            asked = replace(asked, crop=lexicon.learnt(asked.crop, training.crops))
        return asked

    def _template(self, language: str) -> str:
        assert self.form is not None
        templates = load_prompt_templates(language).questions[self.form]
        return self.template if self.template in templates else templates[0]

    def _words(self, templates: PromptTemplates) -> dict[str, str]:
        """What stands in a template for crop, part of the image and direction."""
        row, column = divmod(self.part or 0, 3)
        part, compass = templates.places[row][column], templates.compass[self.compass or 0]
        sided = self.form is not None and self.form.endswith(".image")
        crop = templates.crop(self.crop or "")
        return {"crop": crop, "place": part, "direction": part if sided else compass}

    def _dates(self, chip: Chip) -> dict[str, Part]:
        """Dates as fractions of the tile's calendar; without any in the question, the last and the whole."""
        window = chip.window
        if window is None:
            raise DataError(
                f"{self.said!r:.100} is about dates, of which {chip.scene} has none", "give a series"
            )
        for stretch in self.times:
            if stretch.end < window.start or stretch.start > window.end:
                raise DataError(
                    f"{stretch.start} is not among the dates of {chip.scene}, {window.start} to {window.end}",
                    "ask about a date between them",
                )
        spans = [
            Span(*(min(max(window.position(day), 0.0), 1.0) for day in (one.start, one.end)))
            for one in self.times
        ] or [Span(0.0, 1.0)]
        moment = Instant((spans[0].start + spans[0].end) / 2) if self.times else Instant(1.0)
        return {"instant": moment, "span": spans[0], "first": spans[0], "second": spans[-1]}


def understand(text: str, known_crops: Iterable[str] = ()) -> Question:
    """Find out what a question asks, in English or German, in words of one's own or those of training.

    Args:
        text: The question. Places are written as `serve.coordinates.find_places` says.
        known_crops: Names of crops that the model knows, besides those that are listed.

    Raises:
        DataError: It is not understood; with the three nearest questions.
    """
    known = sorted(known_crops)
    lexicon = crop_lexicon(tuple(known))
    reading = read(text, lexicon)
    found = match(text, reading, "maize" if "maize" in known or not known else known[0])
    takes_crop = "{crop}" in found.template
    return Question(
        said=text.strip(),
        form=found.form,
        template=found.template,
        crop=(reading.crops[0] if reading.crops else found.crop) if takes_crop else None,
        places=reading.places,
        times=reading.times,
        part=found.part,
        compass=found.compass,
    )


def verbatim(text: str) -> Question:
    """A question that the model is asked word for word."""
    return Question(said=text.strip())


def known_questions(language: str = "en") -> list[str]:
    """Every trained wording of a language, with placeholders in braces."""
    return [
        template for templates in load_prompt_templates(language).questions.values() for template in templates
    ]


def _wording(form: str, templates: PromptTemplates) -> str:
    return templates.questions[form][0]


def _slots(template: str) -> int:
    return 2 if "{box}" in template else sum(f"{{{name}}}" in template for name in ("point", "other"))
