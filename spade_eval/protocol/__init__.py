# SPDX-License-Identifier: Apache-2.0
"""How images are scored: every choice that changes a number, as named profiles in one table.

No official evaluation code exists for SPADE and later papers chose differently, so nothing here is
a habit of the code: the profile is printed, hashed and stored with each number, and two profiles
never share a column. `PROFILES` holds what a profile says of every dataset, `TABLE` what depends on
the dataset; `protocol_for` joins both. What the sources say, and where they disagree, is in
`docs/protocols.md`.
"""

import dataclasses
from collections.abc import Iterator

from spade_eval.errors import UserError, lookup
from spade_eval.metrics.stopping import StoppingRule
from spade_eval.models.choices import GivenMaps
from spade_eval.papers.practices import PRACTICES
from spade_eval.protocol.fields import AS_GENERATED as AS_GENERATED
from spade_eval.protocol.fields import IN_DOMAIN, Protocol, is_in_domain, text_of, words
from spade_eval.protocol.fields import ORIGINAL_SIZE as ORIGINAL_SIZE
from spade_eval.protocol.fields import ResolvedProtocol as ResolvedProtocol
from spade_eval.protocol.fields import SegmenterInput as SegmenterInput
from spade_eval.protocol.fields import called as called
from spade_eval.protocol.given_maps import DAMAGE as DAMAGE
from spade_eval.protocol.given_maps import MASKS
from spade_eval.protocol.given_maps import map_change as map_change
from spade_eval.protocol.given_maps import map_lines as map_lines
from spade_eval.protocol.profiles import PROFILES, SHORTHANDS, TABLE

NO_FID = "none"
PARTIAL = " (partial)"
# What --segmenter alone selects.
BY_SEGMENTER = "modern"
_WITH = " with"  # and "without", in names of profiles
# Segmenters that say what their classes are called, so that they can score any dataset.
BY_CLASS_NAMES = "hf:"


def profile_name(profile: str | None, dataset: str, segmenter: str | None = None) -> str:
    """Resolve the profile that is meant: in-domain by default, a shorthand spelled out."""
    if profile is None:
        return IN_DOMAIN if is_in_domain(segmenter) else BY_SEGMENTER
    lookup({**PROFILES, **SHORTHANDS}, profile, "profile")
    return SHORTHANDS.get(profile, {}).get(dataset, profile)


def profiles_of(dataset: str) -> list[str]:
    """Return the profiles under which a dataset can be scored."""
    return [IN_DOMAIN, *TABLE.get(dataset, {})]


def protocol_for(
    profile: str,
    dataset: str,
    segmenter: str | None = None,
    fid_profile: str | None = None,
    until: str | None = None,
    given_maps: GivenMaps = "whole",
) -> Protocol:
    """Return a profile as it applies to a dataset; another segmenter or FID is part of its name.

    So are other label maps than the split's. With a rule to stop by there are no distances: their
    bias depends on the number of images.
    """
    if given_maps != "whole":
        return _given(protocol_for(profile, dataset, segmenter, fid_profile, until), given_maps)
    if until is not None:
        if fid_profile not in (None, NO_FID):
            raise UserError(
                f"--fid-profile {fid_profile} with --until {until}: the bias of a distance depends "
                "on the number of images, which differs from row to row; leave one of them out"
            )
        plain = protocol_for(profile, dataset, segmenter, NO_FID)
        return dataclasses.replace(plain, until=str(StoppingRule.parse(until)))
    name = profile_name(profile, dataset)
    known = profiles_of(dataset)
    if name == BY_SEGMENTER and name not in known and not is_in_domain(segmenter):
        return _overridden(_of_no_paper(dataset, str(segmenter)), None, fid_profile)
    if name not in known:
        raise UserError(
            f"--profile {profile} says nothing of {dataset}; expected {' or '.join(known)}: no "
            "paper scores that dataset so"
        )
    protocol = PROFILES[name]
    if name != IN_DOMAIN:
        protocol = dataclasses.replace(protocol, **vars(TABLE[dataset][name]))
    practice = PRACTICES.get(name, {}).get(dataset)
    protocol = dataclasses.replace(protocol, practice=practice)
    return _overridden(protocol, segmenter, fid_profile)


def further_protocol(protocol: Protocol, dataset: str, segmenter: str) -> Protocol:
    """Return the same protocol with another segmenter, which looks at the same images.

    FID is of the images, whoever segments them, so only the first protocol has it; the distance of
    in-domain features belongs to each in-domain segmenter.
    """
    fids = protocol.fid_profiles if is_in_domain(segmenter) else ()
    profile = protocol.profile.partition(_WITH)[0]
    return protocol_for(
        profile, dataset, segmenter, next(iter(fids), NO_FID), given_maps=protocol.given_maps
    )


def _given(protocol: Protocol, given_maps: GivenMaps) -> Protocol:
    """Return the protocol with these label maps, which become a part of its name."""
    if given_maps in MASKS and protocol.segmenter_input.labels == "as stored":
        raise UserError(
            f"--masks {given_maps} with --profile {protocol.profile}: it scores against label "
            "files at their own size, in which nothing says what was given; choose another "
            "--profile"
        )
    what = f"masks {given_maps}" if given_maps in MASKS else f"damage {given_maps}"
    return dataclasses.replace(
        protocol, given_maps=given_maps, profile=f"{protocol.profile}{_WITH} {what}"
    )


def _of_no_paper(dataset: str, segmenter: str) -> Protocol:
    """Return how a segmenter scores a dataset that no paper scores: in its own classes."""
    if not segmenter.startswith(BY_CLASS_NAMES):
        raise UserError(
            f"--segmenter {segmenter} predicts classes of another dataset than {dataset}; leave it "
            f"out to score in-domain, or give {BY_CLASS_NAMES}NAME, a model with the classes of "
            f"{dataset}"
        )
    return dataclasses.replace(
        PROFILES[BY_SEGMENTER],
        segmenter=segmenter,
        profile=f"{BY_SEGMENTER} with {called(segmenter)}",
    )


def _overridden(protocol: Protocol, segmenter: str | None, fid_profile: str | None) -> Protocol:
    name = protocol.profile
    if segmenter not in (None, protocol.segmenter):
        if is_in_domain(protocol.segmenter) != is_in_domain(segmenter):
            raise UserError(
                f"--segmenter {segmenter} with --profile {name}: in-domain is a profile of its "
                f"own, expected an in-domain segmenter with it and no other; leave one of the "
                f"flags out"
            )
        protocol = dataclasses.replace(
            protocol, segmenter=segmenter, short_sides=None,
            profile=f"{protocol.profile} with {called(segmenter)}",
        )  # fmt: skip
    fids = protocol.fid_profiles if fid_profile is None else (fid_profile,)
    fids = () if fid_profile == NO_FID else fids
    if fids == protocol.fid_profiles:
        return protocol
    changed = protocol.profile
    if name != IN_DOMAIN:
        changed += f" with {fid_profile}" if fids else " without FID"
    return dataclasses.replace(protocol, fid_profiles=fids, profile=changed)


def table_lines() -> Iterator[str]:
    """Yield the whole table, one line a dataset and profile."""
    titles = ("dataset", "profile", "size", "segmenter", "images enter it", "mean over", "FID")
    rows = [titles]
    for dataset in TABLE:
        for name in TABLE[dataset]:
            chosen = protocol_for(name, dataset)
            sides = f" at {words(chosen.short_sides)}" if chosen.short_sides else ""
            rows.append((
                dataset, name + (PARTIAL if chosen.partial else ""), text_of(chosen.size),
                chosen.segmenter + sides,
                chosen.segmenter_input.size, chosen.class_average,
                words(chosen.fid_profiles) or "-",
            ))  # fmt: skip
    any_other = PROFILES[IN_DOMAIN]
    rows.append((
        "any", IN_DOMAIN, "the budget's", any_other.segmenter, any_other.segmenter_input.size,
        any_other.class_average, words(any_other.fid_profiles),
    ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
