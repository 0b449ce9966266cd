"""Studies: `ablate` and what belongs to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agrilape.console import out, say
from agrilape.processes import end_with

RUN = "run"


class _Ablate(TyperGroup):
    """`agrilape ablate PLAN` is short for `agrilape ablate run PLAN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and "--help" not in args[:1] and not any(arg in self.commands for arg in args[:1]):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


commands = typer.Typer()
ablate = typer.Typer(cls=_Ablate, no_args_is_help=True, rich_markup_mode="rich")
commands.add_typer(
    ablate,
    name="ablate",
    rich_help_panel="Experiments",
    help="Compare variants of a recipe over seeds: [bold]agrilape ablate PLAN.yaml[/].",
)

PlanArgument = Annotated[str, typer.Argument(help="A plan file, or one that ships: smoke.", metavar="PLAN")]
Output = Annotated[
    Path | None, typer.Option("--output", help="Folder of the study's files; default runs/studies/<name>.")
]
Work = Annotated[
    Path | None,
    typer.Option("--work", help="Folder of data, checkpoints and logs; studies may share it. runs/work."),
]
AnyCode = Annotated[
    bool, typer.Option("--any-code", help="Accept finished results of other versions of the code.")
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the weights of finished runs.")]


@ablate.command(RUN)
def run(
    plan: PlanArgument,
    output: Output = None,
    work: Work = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes side by side, for the plan's.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of all together, for the plan's.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1, for the plan's.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the workers of a Dask scheduler.")
    ] = None,
    any_code: AnyCode = False,
    keep: Keep = False,
) -> None:
    """Tune, train and evaluate whatever is not done yet; a killed study continues where it stopped."""
    from agrilape.study.launch import DaskLauncher, LocalLauncher
    from agrilape.study.runner import run_study
    from agrilape.study.study_folder import Study

    study = Study.open(plan, output, work, any_code)
    slots, budget = jobs or study.plan.jobs, threads or study.plan.threads
    launcher = (
        DaskLauncher(scheduler, max(1, budget // slots))
        if scheduler
        else LocalLauncher(slots, budget, device or study.plan.device)
    )
    failed = run_study(study, launcher, keep=keep)
    say(f"results in {study.output}: agrilape report --study {study.output}")
    if failed:
        raise typer.Exit(1)


@ablate.command("run-one")
def run_one(
    plan: PlanArgument,
    variant: Annotated[str, typer.Option(help="Name of the variant.")],
    seed: Annotated[int, typer.Option(help="One of the plan's seeds.")],
    candidate: Annotated[int | None, typer.Option(min=0, help="Candidate of tuning, by number.")] = None,
    trial: Annotated[int | None, typer.Option(min=0, help="Trial of a search, by number.")] = None,
    output: Output = None,
    work: Work = None,
    any_code: AnyCode = False,
    keep: Keep = False,
) -> None:
    """Train and evaluate one run of a plan, for schedulers."""
    from agrilape.study.launch import PARENT
    from agrilape.study.single_run import run_one as do
    from agrilape.study.study_folder import Study

    if parent := int(os.environ.get(PARENT, "0")):
        end_with(parent)
    study = Study.open(plan, output, work, any_code)
    say(f"wrote {do(study, study.find(variant, seed, candidate, trial), keep=keep)}")


@ablate.command("list")
def list_runs(
    plan: PlanArgument,
    output: Output = None,
    work: Work = None,
    any_code: AnyCode = False,
    everything: Annotated[bool, typer.Option("--all", help="Finished runs, too.")] = False,
) -> None:
    """Print a command line for each run that can start now: first the candidates, then what counts."""
    from agrilape.study.runner import startable_runs
    from agrilape.study.scheduler import shell_line
    from agrilape.study.study_folder import Study

    study = Study.open(plan, output, work, any_code)
    for one in startable_runs(study, everything=everything):
        out.print(shell_line(study, one))


@ablate.command()
def prepare(plan: PlanArgument, work: Work = None) -> None:
    """Prepare every data set that a plan needs, each once."""
    from agrilape.study.runner import prepare_all
    from agrilape.study.study_folder import Study

    for folder in prepare_all(Study.open(plan, None, work)):
        size = sum(file.stat().st_size for file in folder.iterdir())
        say(f"{folder}  {size / 1e6:,.1f} MB")


@ablate.command()
def collect(plan: PlanArgument, output: Output = None, work: Work = None) -> None:
    """Write study.json from the results that are there, after runs were started by other means."""
    from agrilape.study.study_folder import Study, describe_machine

    study = Study.open(plan, output, work)
    say(f"wrote {study.write_summary({}, describe_machine())}")
