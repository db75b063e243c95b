# SPDX-License-Identifier: Apache-2.0
"""Files of positional maps for a dataset, in the layouts of the data that CLADE was released with.

`distances/{training,validation}/*.npy` beside the annotations of ADE20K, `{train,val}_dist/*.npy`
of COCO-Stuff, `*_gtFine_distance.npy` beside the label files of Cityscapes; `distances/` by split
for others. Each is float32 (2, H, W) of the label map as stored.
"""

from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel
from spade_eval.datasets.positional_maps import encoded
from spade_eval.datasets.tools.coco_instances import Written
from spade_eval.datasets.tools.derived import claim_files
from spade_eval.files import replaced
from spade_eval.models.positions import positional_map

_ORIGIN = {"made": "positional maps, version 1"}


def write_positional_maps(
    dataset: FileDataset, workers: int = DEFAULT_WORKERS, progress: Progress | None = None
) -> Written:
    """Make the positional maps of a split that are not there yet."""
    sources = {stem: sample.label_map for stem, sample in dataset.files.items()}
    targets = {
        stem: dataset.positional_file(dataset.root, dataset.split, stem, label_file)
        for stem, label_file in sources.items()
    }
    missing = []
    for folder in sorted({path.parent for path in targets.values()}):
        own = {stem: path for stem, path in targets.items() if path.parent == folder}
        done = claim_files(folder, _ORIGIN, own, sources)
        missing += [stem for stem in own if stem not in done]

    def make(stem: str) -> None:
        label_map = dataset.label_files.read(sources[stem])
        positions = positional_map(label_map, dataset.positional_maps.skipped)
        with replaced(targets[stem]) as temporary:
            temporary.write_bytes(encoded(positions))

    for _ in run_parallel(make, missing, workers, progress):
        pass
    shared = next(iter(targets.values())).parent
    if any(path.parent != shared for path in targets.values()):
        shared = shared.parent
    return Written(folder=shared, written=len(missing), kept=len(targets) - len(missing))
