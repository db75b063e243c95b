# SPDX-License-Identifier: Apache-2.0
"""Which rows a run has beside those that are given: trained in it, shipped; and who is compared."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.config import RunConfig

_BOUNDS = ("real", "oracle", "grey", "label colours")


@dataclass(frozen=True)
class Comparing:
    """Who is compared with whom; nobody where --compare was not given."""

    subjects: tuple[str, ...]
    baselines: tuple[str, ...]

    def unplanned(self, rows: Collection[str]) -> list[str]:
        """Return the baselines that are none of these rows and no bound."""
        return [name for name in self.baselines if name not in (*rows, *_BOUNDS)]

    def renamed(self, names: Mapping[str, str]) -> "Comparing":
        """Call baselines by the names of their rows."""
        return replace(self, baselines=tuple(names.get(name, name) for name in self.baselines))

    def require(
        self, planned: Collection[str], recorded: Callable[[Sequence[str]], set[str]]
    ) -> None:
        """Refuse a baseline that is neither planned, nor a bound, nor a comparable recorded row."""
        expected = {*planned, *_BOUNDS}
        others = self.unplanned(planned)
        known = recorded(others) if others else set()
        for name in others:
            if name not in known:
                raise UserError(
                    f"--compare {name!r}: no row under this protocol has that name; expected one "
                    f"of {', '.join(sorted(expected | known))}, or add it with --model, "
                    "--checkpoint NAME=FILE or --images NAME=DIR"
                )


def comparing(
    compare: Sequence[str] | None,
    more: Sequence[str] | None,
    given: Collection[str],
    models: Sequence[str] | None,
) -> Comparing:
    """Tell whom the flags compare; `given` are the rows of --checkpoint and --images."""
    if not compare:
        return Comparing((), ())
    from spade_eval.jobs.job import REFERENCES

    baselines = tuple(dict.fromkeys([*compare, *(more or ())]))
    subjects = tuple(name for name in given if name not in baselines)
    subjects = subjects or tuple(
        name for name in models or () if name not in (*baselines, REFERENCES)
    )
    if not subjects:
        raise UserError(
            f"--compare {' '.join(baselines)} has nothing to compare with them; give --checkpoint "
            "NAME=FILE, --images NAME=DIR or --model NAME"
        )
    return Comparing(subjects, baselines)


@dataclass(frozen=True)
class Chosen:
    """The rows of a run beside those that are given, and who is compared."""

    models: tuple[str, ...]  # trained and scored
    shipped: Mapping[str, str]  # scored alone: of each baseline the name of its row
    compared: Comparing
    wanted_shipped: bool = False

    def lines(self) -> list[str]:
        """Say what ships of these rows, and what else could be done."""
        if self.shipped:
            return [
                f"rows that ship with the suite, not trained now: {', '.join(self.shipped)}; "
                "--train NAME trains another beside them"
            ]
        if self.wanted_shipped:
            return ["no baselines ship for this dataset and size: only what is trained is scored"]
        return []


def chosen_rows(
    config: "RunConfig",
    model: Sequence[str] | None,
    train: Sequence[str] | None,
    compared: Comparing,
    given: Collection[str],
) -> Chosen:
    """Choose the rows from --model, --train and --compare (as given on the command line).

    Baselines that ship stand in a run of their dataset and size: all of them with --train, and
    where no row is named and no training is set otherwise than usual; those that are compared, but
    where a row of this run has the name.
    """
    from spade_eval.baselines import fitting
    from spade_eval.config import FIRST_THREE

    fit = {name: item.row for name, item in fitting(config.dataset, config.budget.size).items()}
    of_rows = {row: name for name, row in fit.items()}
    named = compared.unplanned([*given, *of_rows])
    shipped: Collection[str] = ()
    if train or model is not None:
        models = tuple(train or model or ())
        shipped = fit if train else ()
    elif compared.baselines:
        models = tuple(name for name in named if name not in fit)
    elif fit and _trains_as_usual(config):
        models, shipped = (), fit
    else:
        models = FIRST_THREE
    meant = {name: fit[name] for name in named if name in fit and name not in models}
    of_compared = {*meant, *(of_rows[row] for row in compared.baselines if row in of_rows)}
    return Chosen(
        models,
        {name: fit[name] for name in fit if name in shipped or name in of_compared},
        compared.renamed(meant),
        wanted_shipped=bool(train),
    )


def _trains_as_usual(config: "RunConfig") -> bool:
    """Return whether no flag of a training was given: nothing says that one is wanted."""
    from spade_eval.config import RunConfig, budget_for

    usual = budget_for(
        config.dataset, "default", val_limit=config.budget.val_limit,
        segmenter_steps=config.budget.segmenter_steps,
    )  # fmt: skip
    same: RunConfig = replace(config, budget_name="default", budget=usual, seed=0)
    return same == config
