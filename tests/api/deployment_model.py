"""What a deployment is to be after each verb and report: a model of it that fits on two pages and knows no SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace


class Refused(Exception):
    """The verb is not to be had now."""


@dataclass
class Revision:
    """One revision: has it been seen to serve, has it been taken back?"""

    artifact: object
    served: bool = False
    taken_back: bool = False


@dataclass(frozen=True)
class Plan:
    """A rollout: the new revision's share, or copies; `steps` are the shares to come by the clock, each held a while.

    `held` says whether the last of them is held, too, before the revision before is let go.
    """

    weight: int = 100
    mirror: bool = False
    steps: tuple[int, ...] = ()
    step: int = 0
    held: bool = False

    @property
    def at_once(self) -> bool:
        last = self.step >= len(self.steps) - 1
        return self.weight == 100 and not self.mirror and last and not (self.steps and (self.held or not last))


@dataclass
class Model:
    """One deployment. Revisions are known by their numbers, 1 for the first."""

    revisions: dict[int, Revision]
    now: int = 1
    stable: int | None = None
    rollout: Plan | None = None
    desired: str = "running"
    status: str = "pending"
    broken: bool = False
    generation: int = 1
    observed: int = 0
    restarts: int = 0
    secrets_version: int = 0
    clock: int | None = None
    """The generation whose step is to end by the clock."""
    asked: bool = True
    """Whether something is wanted that no job has been claimed for."""

    def shares(self) -> list[tuple[int, int, bool]]:
        if self.stable is None or self.rollout is None:
            return [(self.now, 100, False)]
        share = 0 if self.rollout.mirror else self.rollout.weight
        return [(self.stable, 100 - share, False), (self.now, share, self.rollout.mirror)]

    # What people ask for.

    def revise(self, artifact: object, plan: Plan) -> None:
        self.living()
        number = max(self.revisions) + 1
        self.begin(number, plan)
        self.revisions[number] = Revision(artifact)

    def shift(self, weight: int | None, mirror: bool | None, steps: tuple[int, ...] | None) -> None:
        self.living()
        if self.rollout is None:
            raise Refused
        wanted = self.rollout
        if steps:
            wanted = Plan(steps[0], bool(mirror), steps, 0, held=True)
        elif weight is not None:
            wanted = Plan(weight, bool(mirror))
        elif mirror is not None:
            wanted = replace(wanted, mirror=mirror)
        if wanted != self.rollout:
            self.rollout, self.broken = wanted, False
            self.want()

    def roll_back(self, number: int | None = None) -> None:
        self.living()
        held = [one for one, it in self.revisions.items() if it.served and not it.taken_back and one < self.now]
        target = number or self.stable or max(held, default=None)
        if target is None or target == self.now:
            raise Refused
        self.revisions[self.now].taken_back = True
        self.begin(target, Plan())

    def stop(self) -> None:
        self.living()
        if self.desired == "running":
            self.now = self.stable or self.now
            self.stable, self.rollout, self.broken = None, None, False
            self.desired, self.status = "stopped", "pending"
            self.want()

    def start(self) -> None:
        self.living()
        if self.desired == "stopped":
            self.desired, self.status = "running", "pending"
            self.want()

    def restart(self) -> None:
        self.living()
        if self.desired != "running":
            raise Refused
        self.restarts, self.broken = self.restarts + 1, False
        self.want()

    def delete(self, *, force: bool = False) -> None:
        if self.status == "gone":
            raise Refused
        fresh = self.desired != "deleted" or self.status == "deletion_failed"
        self.desired = "deleted"
        if force or fresh:
            self.status = "gone" if force else "deletion_pending"
            self.generation += 1
        self.asked = True

    # What happens by itself.

    def follow(self, artifact: object) -> None:
        if self.desired != "deleted" and self.revisions[self.now].artifact != artifact:
            self.revise(artifact, Plan())

    def secret_rotated(self, *, at_start: bool) -> None:
        if self.desired == "running":
            self.secrets_version += 1
            if at_start:
                self.restarts += 1
                self.want()
            self.asked = True

    def time_passes(self) -> None:
        """The clock of a step runs down; where not all is well, it is set again."""
        plan = self.rollout
        if self.clock != self.generation or plan is None or self.desired != "running":
            self.clock = None
        elif self.status == "active" and not self.broken:
            self.clock = None
            self.next_step(plan)

    def next_step(self, plan: Plan) -> None:
        if plan.step + 1 < len(plan.steps):
            step = plan.step + 1
            self.rollout = replace(plan, step=step, weight=plan.steps[step], mirror=False)
            self.want()
        elif plan.weight == 100 and not plan.mirror:
            self.stable = self.rollout = None
            self.want()

    # What the satellite says.

    def report(self, status: str, *, broken: bool | None, generation: int | None, told: bool = True) -> None:
        """`told`: the satellite knows of what is wanted now, because no job about it waits."""
        deletion = status in {"deletion_pending", "deletion_failed"}
        if deletion != (self.desired == "deleted") or generation not in {None, self.generation}:
            raise Refused
        if self.status != "gone":
            self.status = status
        if broken is not None:
            self.broken = broken
        if not told:
            return
        before, self.observed = self.observed, self.generation
        well = status == "active" and not broken
        if well:
            self.revisions[self.now].served = True
            self.served(first=before < self.generation)

    def served(self, *, first: bool) -> None:
        plan = self.rollout
        if plan and plan.at_once:
            self.stable = self.rollout = None
        elif plan and plan.steps and first:
            self.clock = self.generation

    def take_back(self, generation: int) -> None:
        if generation != self.generation or self.stable is None or self.desired != "running":
            raise Refused
        self.revisions[self.now].taken_back = True
        self.now, self.stable, self.rollout, self.broken = self.stable, None, None, False
        self.want()

    def confirm_gone(self) -> None:
        if self.desired != "deleted":
            raise Refused

    # Steps of these.

    def living(self) -> None:
        if self.desired == "deleted":
            raise Refused

    def begin(self, number: int, plan: Plan) -> None:
        stable = self.stable or (self.now if self.revisions[self.now].served else None)
        if self.desired != "running" or stable == number:
            stable = None
        if stable is None and (plan.mirror or plan.weight < 100):
            raise Refused
        self.now, self.stable, self.rollout = number, stable, plan if stable else None
        self.broken = False
        self.status = "pending" if self.status == "failed" else self.status
        self.want()

    def want(self) -> None:
        self.generation += 1
        self.asked = True
