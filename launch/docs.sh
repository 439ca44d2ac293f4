#!/usr/bin/env bash
# The API reference, made of the docstrings: build/reference/index.html. A warning stops it.
set -euo pipefail
EXTRAS=docs
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
python -W error -c '
from pathlib import Path

import pdoc
import pgkt_jax

# Imported on first use; pdoc looks only at what is there.
vars(pgkt_jax).update({name: getattr(pgkt_jax, name) for name in pgkt_jax.__all__})
# What is behind the face and of use by itself.
modules = """
    skeleton joint_orders geometry retrieval prior limb_frames config
    data.person data.splits data.folder data.writer data.sources data.puppets data.puppet_animals
    nets.unet nets.parser nets.attention nets.deeplab train.views train.losses train.run_folder
    stages.predict stages.photographs stages.refine stages.parse stages.synthesize stages.evaluate
    report.figures report.page report.demo
"""
pdoc.render.configure(docformat="google")
names = ["pgkt_jax", *(f"pgkt_jax.{name}" for name in modules.split())]
pdoc.pdoc(*names, output_directory=Path("build/reference"))
print("build/reference/index.html")
'
