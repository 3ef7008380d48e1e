"""Everybody is tested on once, by a network that never saw them: who is understood how well."""

import tfnets.har
from mlproject.har.settings import from_anywhere, resolve
from mlproject.har.sweep import load_for, train_trial
from mlproject.sweeps import people
from mlproject.sweeps.cluster import OnDask
from mlproject.sweeps.engine import Sweep
from mlproject.sweeps.trials import Group, Trial, Work
from mlproject.tracking.run import Run

_OF_FOLDS = ("folds", "seeds", "against", "scheduler", "resume")


def cross_validate(options: dict, run: Run) -> str:
    """Trains a network for each fold and seed; logs who was understood how well.

    Args:
        options: The command's options by name.
        run: The parent run.

    Returns:
        A summary for the user.

    Raises:
        InputError: If it is not known whose each window is, an earlier run cannot be compared
            with, or a training fails; the others are done, and can be resumed from.
    """
    others = people.earlier(options["against"], run)
    base = from_anywhere({k: v for k, v in options.items() if k not in _OF_FOLDS})
    base |= {"split": "subject", "test_subjects": "auto"}
    settings = resolve(base | {"seed": options["seeds"][0]})
    given = {k: v for k, v in settings.data.items() if k not in ("split", "test_subjects")}
    parts = None if options["folds"] == "person" else options["folds"]
    digests: dict[str, str] = {}
    folds: dict[str, tuple[str, ...]] = {}
    name, classes = "", tuple[str, ...]()
    for tested, data in tfnets.har.folds(**given, parts=parts):
        fold = f"test {people.names(tested)}"
        folds[fold], digests[fold] = tested, data.digest
        name, classes = data.name, data.classes
    title = configuration(base, settings.loss, settings.recipe.step["learning_rate"])
    tags = {"study": f"cross-validation {run.id[:6]}", "configuration": title}
    trials = [
        Trial(f"{fold}, seed {seed}", base | {"test_subjects": tested, "seed": seed}, tags)
        for seed in options["seeds"]
        for fold, tested in folds.items()
    ]
    group = Group(title, settings, tuple(trials))
    of_fold = [digest for _ in options["seeds"] for digest in digests.values()]
    run.log_tags({"data.name": name, "model": base["cell"], "network": title})
    sweep = Sweep(
        trials,
        Work(load_for, train_trial),
        people.STAGE,
        {trial.name: digest for trial, digest in zip(trials, of_fold, strict=True)},
        ("test/accuracy", "test top-1"),
        "leave out of seeds what cannot be trained",
    )
    note = (
        f"{name}: {len(folds)} folds by person, {settings.recipe.epochs} epochs, accuracy at the "
        f"last step in percent; seeds {', '.join(map(str, options['seeds']))}."
    )
    return people.validate(
        sweep,
        [group],
        OnDask(options["scheduler"]),
        options,
        others,
        (name, classes),
        "windows",
        note,
        run,
    )


def configuration(options: dict, loss: str, rate: float) -> str:
    """What a network and its training are called in tables."""
    return (
        f"{options['cell']} {options['units']} {loss}, {options['optimizer']} {rate:g}, "
        f"batch {options['batch_size']}"
    )
