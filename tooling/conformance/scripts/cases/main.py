"""Writes case files with PyTorch's answers, in the form that the conformance runner reads.

    python3 main.py OUT --index INDEX [--families ops,errors,…] [--kinds fibc] [--most 12] [--seed 0]

OUT is the folder that is written. INDEX is the `ops/index.json` of a case folder: it says by which name each entry of PyTorch's operator
database is called. Kinds are dtypes, one letter each (operations.KINDS); `--most` bounds the samples of an operation, or the option sets of an
optimizer, `--count` is how many programs are made by chance (families random, indices, kinds, tangents and training), or models (gemma2). `--verbose` says what was left out and why.
"""

import argparse
import gzip
import json
import os
import random
import sys
import types
import warnings

import numpy as np
import torch

# PyTorch's test helpers import it; none of what is used here does.
if "expecttest" not in sys.modules:
    stub = types.ModuleType("expecttest")
    stub.TestCase = __import__("unittest").TestCase
    stub.ACCEPT = False
    sys.modules["expecttest"] = stub


def write(folder, family, records):
    path = os.path.join(folder, family + ".jsonl.gz")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with gzip.open(path, "wt") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
    print(f"{family} {len(records)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--index")
    parser.add_argument("--families", default="ops,errors,extra,promotion,modules,losses,utils,optim,programs")
    parser.add_argument("--kinds", default="fibc")
    parser.add_argument("--only", default="")
    parser.add_argument("--most", type=int, default=12)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)
    random.seed(options.seed)
    log = (lambda line: print(line, file=sys.stderr)) if options.verbose else (lambda line: None)
    families = options.families.split(",")
    if "ops" in families or "errors" in families:
        import operations

        with open(options.index) as file:
            index = json.load(file)
        os.makedirs(os.path.join(options.out, "ops"), exist_ok=True)
        with open(os.path.join(options.out, "ops", "index.json"), "w") as file:
            json.dump(index, file)
        if "ops" in families:
            found = {}
            only = set(filter(None, options.only.split(",")))
            for family, record in operations.operation_records(index, options.kinds, options.most, only, log):
                found.setdefault(family, []).append(record)
            for family, records in found.items():
                write(options.out, f"ops/{family}", records)
        if "errors" in families:
            write(options.out, "ops/errors", list(operations.error_records(index, log)))
    if "optim" in families:
        import optimizers

        write(options.out, "optim/trajectories", list(optimizers.trajectory_records(options.most, log)))
        write(options.out, "optim/schedulers", list(optimizers.scheduler_records(log)))
    if "modules" in families:
        import modules

        write(options.out, "nn/modules", list(modules.module_records(modules.GENERATORS, log)))
    if "losses" in families:
        import modules

        write(options.out, "nn/losses", list(modules.module_records([modules.losses], log)))
    if "utils" in families:
        import utilities

        write(options.out, "nn/utils", list(utilities.utility_records()))
    if "extra" in families:
        import extra

        write(options.out, "ops/extra", list(extra.extra_records(log)))
    if "programs" in families:
        import programs

        write(options.out, "autograd/programs", list(programs.program_records(log)))
    if "random" in families:
        import random_programs

        records = list(random_programs.random_records(options.count, options.seed, log))
        write(os.path.join(options.out, "random"), "autograd/programs", records)
    if "indices" in families:
        import random_indices
        import random_programs

        records = list(random_programs.random_records(options.count, options.seed, log, random_indices.IndexMaker))
        write(os.path.join(options.out, "indices"), "autograd/programs", records)
    if "kinds" in families:
        import random_kinds
        import random_programs

        records = list(random_programs.random_records(options.count, options.seed, log, random_kinds.KindMaker))
        write(os.path.join(options.out, "kinds"), "autograd/programs", records)
    if "tangents" in families:
        import random_programs
        import random_tangents

        records = list(random_programs.random_records(options.count, options.seed, log, random_tangents.TangentMaker))
        write(os.path.join(options.out, "tangents"), "autograd/programs", records)
    if "training" in families:
        import random_training

        write(options.out, "nn/training", list(random_training.training_records(options.count, options.seed, log)))
    if "gemma2" in families:
        import random_gemma2

        print(f"gemma2 {random_gemma2.write_models(os.path.join(options.out, 'gemma2'), options.count, options.seed, log)}")
    if "promotion" in families:
        import promotion

        write(options.out, "tensor/promotion", list(promotion.promotion_records()))


if __name__ == "__main__":
    main()
