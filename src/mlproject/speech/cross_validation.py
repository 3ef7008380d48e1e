"""Every speaker is tested on once, by networks that never heard them."""

from collections.abc import Mapping

import tfnets.speech
from mlproject.speech.published import Network
from mlproject.speech.settings import data_of, resolve
from mlproject.speech.sweep import load_for, train_trial
from mlproject.sweeps import people
from mlproject.sweeps.engine import Sweep
from mlproject.sweeps.in_process import InProcess
from mlproject.sweeps.trials import Group, Trial, Work
from mlproject.tracking.run import Run

_OF_FOLDS = ("models", "folds", "seeds", "against", "resume")


def cross_validate(options: dict, defaults: Mapping[str, dict], run: Run) -> str:
    """Trains each network for each fold and seed; logs who was understood how well.

    Args:
        options: The command's options by name.
        defaults: For each architecture the options of its own command.
        run: The parent run.

    Returns:
        A summary for the user.

    Raises:
        InputError: If it is not known who speaks, an earlier run cannot be compared with, or a
            training fails; the others are done, and can be resumed from.
    """
    others = people.earlier(options["against"], run)
    given = {key: value for key, value in options.items() if key not in _OF_FOLDS}
    first = defaults[options["models"][0].architecture] | given
    parts = None if options["folds"] == "speaker" else options["folds"]
    wanted = ("data", "words", "clips", "pattern", "level", "augment", "duplicates")
    of_data = {key: value for key, value in data_of(first).items() if key in wanted}
    folds = {}
    name, classes = "", tuple[str, ...]()
    for number, (tested, data) in enumerate(tfnets.speech.folds(**of_data, parts=parts), 1):
        folds[number] = (f"test {people.names(tested)}", data.digest)
        name, classes = data.name, data.classes
    tags = {"study": f"cross-validation {run.id[:6]}"}
    groups, digests = [], {}
    for network in options["models"]:
        base = defaults[network.architecture] | given | {"optimizer": network.optimizer}
        trials = []
        for seed in options["seeds"]:
            for number, (who, digest) in folds.items():
                part = {"folds": len(folds), "fold": number, "seed": seed}
                title = f"{network.title}, {who}, seed {seed}"
                of_model = {"model": network.architecture, "configuration": network.title}
                trials.append(Trial(title, base | part, tags | of_model))
                digests[title] = digest
        groups.append(Group[Network](network.title, network, tuple(trials)))
    trials = [trial for group in groups for trial in group.trials]
    for trial in trials:  # what is invalid is found before anything is trained
        resolve(trial.tags["model"], trial.options)
    run.log_tags({"data.name": name})
    sweep = Sweep(
        trials,
        Work(load_for, train_trial),
        people.STAGE,
        digests,
        ("test/accuracy", "test accuracy"),
        "-P models=... leaves out what cannot be trained",
    )
    note = (
        f"{name}: {len(folds)} folds by speaker, {options['epochs']} epochs, protocol "
        f"{options['protocol']}, accuracy in percent; seeds "
        f"{', '.join(map(str, options['seeds']))}."
    )
    return people.validate(
        sweep, groups, InProcess(), options, others, (name, classes), "clips", note, run
    )
