# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data`: look at a dataset's folder, and make the files that it lacks."""

from spade_eval.cli.console.app import App
from spade_eval.cli.data.colours import colours
from spade_eval.cli.data.looking import check, classes, stats
from spade_eval.cli.data.making import convert, export_samples, label, prepare
from spade_eval.cli.data.photos import photos

data_app = App(help="Look at a dataset before anything is trained, and prepare it.")
data_app.command()(check)
data_app.command()(stats)
data_app.command()(classes)
data_app.command()(photos)
data_app.command()(prepare)
data_app.command()(convert)
data_app.command()(colours)
data_app.command(name="export")(export_samples)
data_app.command()(label)
