"""Cuts a program that shows a fault down to the few words that still show it: steps first, then
statements, options, fields and elements inside the commands that are left."""

import copy
import time

import pytest
from bson.raw_bson import RawBSONDocument

from random_load.client import Wrong
from random_load.programs import Send

KEPT = {"insert", "update", "delete", "findAndModify", "q", "u", "query", "documents", "updates",
        "deletes", "limit"}


def run_or_shrink(run_program, program, seconds):
    """Fails with the smallest program found that fails."""
    wrong = why_wrong(run_program, program)
    if wrong:
        small, why = Shrinker(lambda smaller: why_wrong(run_program, smaller), program, wrong,
                              seconds).run()
        pytest.fail(f"seed {program.seed}: {wrong}\nthe end of it:\n"
                    + "\n".join(wrong.story[-4:]) + f"\nshorter: {small}\n{why}\n"
                    + "\n".join(why.story))


def why_wrong(run_program, program):
    try:
        run_program(program)
    except Wrong as wrong:
        return wrong
    return None


class Shrinker:
    """fails(program): what went wrong in a run of it, or None."""

    def __init__(self, fails, program, found, seconds=60):
        self.fails = fails
        self.program = program
        self.found = found  # what the program came to
        self.end = time.monotonic() + seconds

    def run(self):
        """(the smallest program found, what it came to)."""
        self._near()
        self._steps()
        changed = True
        while changed and time.monotonic() < self.end:
            changed = any([self._inside(at) for at in range(len(self.program.steps))])
        return self.program, self.found

    def _near(self):
        """Only what came before, in the collections it is about."""
        if self.found and self.found.collections:
            self._takes([step for step in self.program.steps if not isinstance(step, Send)
                         or step.collection() in self.found.collections])

    def _takes(self, steps):
        """Whether `steps` fail too; they are kept then."""
        if time.monotonic() > self.end:
            return False
        smaller = self.program.with_steps(steps)
        if found := self.fails(smaller):
            self.program, self.found = smaller, found
        return bool(found)

    def _steps(self):
        size = max(1, len(self.program.steps) // 2)
        while size:
            at = 0
            while at < len(self.program.steps):
                steps = self.program.steps
                if not self._takes(steps[:at] + steps[at + size:]):
                    at += size
                if time.monotonic() > self.end:
                    return
            size //= 2

    def _inside(self, at):
        """Tries to take every part out of one command; whether one went."""
        if at >= len(self.program.steps) or not isinstance(self.program.steps[at], Send):
            return False
        went = False
        for mark in ("is_numbered", "in_sequence"):
            step = copy.copy(self.program.steps[at])
            if getattr(step, mark):
                setattr(step, mark, False)
                went |= self._takes(self._with(at, step))
        for path in reversed(list(_paths(self.program.steps[at].command))):
            step = copy.copy(self.program.steps[at])
            step.command = _without(step.command, path)
            if step.command is not None:
                went |= self._takes(self._with(at, step))
        return went

    def _with(self, at, step):
        steps = list(self.program.steps)
        steps[at] = step
        return steps


def _paths(value, path=()):
    """Every part of a command that may go, outer ones first."""
    if isinstance(value, dict) and not isinstance(value, RawBSONDocument):
        for key, item in value.items():
            if key not in KEPT:
                yield (*path, key)
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            if len(value) > 1:
                yield (*path, at)
            yield from _paths(item, (*path, at))


def _without(value, path):
    """A copy without what stands at `path`; None when nothing stands there any more."""
    made = copy.copy(value)
    try:
        if len(path) == 1:
            del made[path[0]]
        else:
            inner = _without(value[path[0]], path[1:])
            if inner is None:
                return None
            made[path[0]] = inner
    except (KeyError, IndexError, TypeError):
        return None
    return made
