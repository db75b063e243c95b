# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench`: what this machine takes for the parts that cost time."""

from spade_eval.cli.bench.data import bench_data
from spade_eval.cli.bench.distance import bench_distance
from spade_eval.cli.bench.generator import bench_generator
from spade_eval.cli.bench.gpu import bench_gpu
from spade_eval.cli.bench.networks import bench_networks
from spade_eval.cli.bench.plot import bench_plot
from spade_eval.cli.bench.processes import bench_processes
from spade_eval.cli.bench.score import bench_score
from spade_eval.cli.bench.train import bench_train
from spade_eval.cli.console.app import App

bench_app = App(help="Measure speed on this machine.", no_args_is_help=True)
bench_app.command(name="data")(bench_data)
bench_app.command(name="train")(bench_train)
bench_app.command(name="generator")(bench_generator)
bench_app.command(name="networks")(bench_networks)
bench_app.command(name="score")(bench_score)
bench_app.command(name="processes")(bench_processes)
bench_app.command(name="plot")(bench_plot)
bench_app.command(name="distance")(bench_distance)
bench_app.command(name="gpu")(bench_gpu)
