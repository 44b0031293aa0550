"""A run: one training, and all it logs."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from luml_app.packaging.errors import PackagingError
from luml_app.packaging.experiment_archive import store_attachment
from luml_app.packaging.metric_curves import BUCKETS, curve, metric_names
from luml_app.packaging.metrics_database import as_param, last_metrics, logged_params, open_database
from luml_app.schemas.errors import LumlError
from luml_app.tracking.destination import Destination, send
from luml_app.tracking.ending import end_at_exit, has_ended, how_it_ended
from luml_app.tracking.errors import TrackingError, TrackingWarning
from luml_app.tracking.evaluations import Evaluations
from luml_app.tracking.folders import Record, RunFolder, Status, folder_of, now
from luml_app.tracking.live import LiveSender
from luml_app.tracking.observer import Observer
from luml_app.tracking.rendering import rendered
from luml_app.tracking.settings import is_offline, runs_folder
from luml_app.tracking.spans import RunSpanExporter
from luml_app.tracking.surroundings import executed_cells, notebook_cells
from luml_app.tracking.values import check_texts, checked_name, points
from luml_app.tracking.writer import Statement, Writer

Answer = TypeVar("Answer")

LONGEST_LABEL = 255
SYSTEM_SECONDS = 10.0
_PARAM = "INSERT OR REPLACE INTO static_params VALUES (?, ?, ?)"
_FORGET = "DELETE FROM attachments WHERE name = ?"
_ATTACHED = "INSERT INTO attachments (name, file_path, size) VALUES (?, ?, ?)"


class Run(Evaluations):
    """A training run. What it logs is on the local disk within a tenth of a second, and never waits for it.

    Usable by all threads, by forked processes, and by processes that get it as an argument. As a context manager it
    ends as completed, as failed (with the traceback) or, after Ctrl-C, as aborted. A run that is killed is found by the
    next one, or by ``luml sync``.

    `group` and `tags` describe it; `orbit` names the orbit that ``luml sync`` sends it to. `folder` is where runs are
    kept (``LUML_RUNS_FOLDER``). With `surroundings` it keeps packages, state of git and cells of a notebook; every
    `system_seconds` it measures the machine (0: never), and every `live_seconds` it is sent as it is then (0: at its
    end only). `resume` is the id of a run that shall go on, or its beginning.
    Raises `TrackingError` for a run that does not exist or is being sent.
    """

    _observer: Observer | None = None
    _live: LiveSender | None = None

    def __init__(
        self,
        name: str = "",
        *,
        tags: Iterable[str] = (),
        group: str | None = None,
        description: str | None = None,
        orbit: str | None = None,
        folder: str | Path | None = None,
        resume: str | None = None,
        parent: Run | None = None,
        surroundings: bool = True,
        system_seconds: float = SYSTEM_SECONDS,
        live_seconds: float = 0,
        destination: Destination | None = None,
    ) -> None:
        runs = Path(folder).absolute() if folder is not None else runs_folder()
        if resume is not None:
            self._folder = folder_of(resume, runs)
        elif name.strip():
            facts: dict[str, Any] = {"group": group, "tags": list(tags), "description": description, "orbit": orbit}
            facts |= {"parent_id": parent.id} if parent else {}
            self._folder = _new_folder(runs, name, facts)
        else:
            raise TrackingError("name is empty; give the run a name, or the id of one to resume.")
        self._destination = destination
        self._open()
        where = {} if destination is None else destination.place()
        self._record = self._folder.change(status="running", ended_at=None, error=None, sent_at=None, **where)
        self._first_cell = executed_cells()
        self._observer = Observer(self, surroundings=surroundings, seconds=system_seconds)
        if live_seconds and destination is not None and not is_offline():
            self._live = LiveSender(self, self._folder, destination, live_seconds)
        end_at_exit(self)

    @classmethod
    def attached(cls, path: Path) -> Self:
        """A run that another process has begun, and will end: this process only logs to it."""
        run = cls.__new__(cls)
        run._folder, run._destination = RunFolder(Path(path)), None
        run._open()
        run._record, run._owner = run._folder.read(), 0
        return run

    def _open(self) -> None:
        self._owner = os.getpid()
        self._observer: Observer | None = None
        self._alive: IO[bytes] | None = self._folder.claim()
        self._writer = Writer(self._folder.database)
        self._ending, self._changing = threading.Lock(), threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).attached, (self._folder.path,)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self._record.status} {self.id}>"

    @property
    def id(self) -> str:
        """The run's id, by which it is resumed."""
        return self._record.id

    @property
    def name(self) -> str:
        """The run's name."""
        return self._record.name

    @property
    def path(self) -> Path:
        """The folder that holds it on this machine."""
        return self._folder.path

    @property
    def status(self) -> Status:
        """``running``, ``completed``, ``failed``, ``aborted`` or ``crashed``."""
        return self._record.status

    @property
    def record(self) -> Record:
        """What is known about it beside what it logs."""
        return self._record

    def log(
        self,
        metrics: Mapping[str, Any] | None = None,
        step: int | None = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Log metrics at a `step`, by default the one after each metric's last, and parameters.

        NaN and infinities are kept as such; the same metric at the same step is replaced. Raises `PackagingError` for
        what is no number, and `TrackingError` after the run has ended.
        """
        self._check_open()
        if metrics:
            self._writer.log(points(metrics, step, time.time()))
        if params:
            self.log_params(params)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log what the run is made with; a later value takes the place of an earlier one."""
        self._check_open()
        rows = [(checked_name(str(key), "parameter"), *as_param(str(key), value)) for key, value in params.items()]
        self.execute(*((_PARAM, row) for row in rows))

    def attach(self, thing: Any, name: str | None = None) -> None:
        """Keep a file, bytes, a figure, a table, a picture, or what JSON can hold, under `name`; it may have slashes.

        The ending of the name decides between formats (``.png`` or ``.svg``, ``.csv`` or ``.parquet``). An earlier
        attachment of this name is replaced.
        """
        self._check_open()
        name, content = rendered(thing, name)
        size = store_attachment(self.path, name, content)
        self.execute((_FORGET, (name,)), (_ATTACHED, (name, name, size)))

    def execute(self, *statements: Statement) -> None:
        """Have statements executed soon, in this order, all of them or none. Raises `TrackingError` after the end."""
        self._check_open()
        for _, row in statements:
            check_texts(row.values() if isinstance(row, dict) else row)
        self._writer.execute(*statements)

    def watch(self, estimator: Any) -> AbstractContextManager[Any]:
        """Log what `estimator.fit` does, in a ``with`` block: parameters, seconds, what it keeps of its iterations.

        For estimators of scikit-learn (searches with their best parameters and all results), and those of XGBoost and
        LightGBM, whose metrics of evaluation sets are logged while they train. Only this one object is changed, and
        only in the block.
        """
        from luml_app.tracking.autologging import watching

        return watching(self, estimator)

    def xgboost_callback(self) -> Any:
        """A callback for ``xgboost.train`` and ``cv``, which logs every metric of every evaluation set."""
        from luml_app.tracking.autologging import xgboost_callback

        return xgboost_callback(self)

    def lightgbm_callback(self) -> Callable[[Any], None]:
        """A callback for ``lightgbm.train`` and ``cv``, which logs every metric of every evaluation set."""
        from luml_app.tracking.autologging import lightgbm_callback

        return lightgbm_callback(self)

    def span_exporter(self) -> RunSpanExporter:
        """An exporter of OpenTelemetry, for ``BatchSpanProcessor(run.span_exporter())``: spans are kept as traces."""
        return RunSpanExporter(self)

    def log_model(self, model: Any, name: str | None = None, **options: Any) -> Any:
        """Package a model that this run has made, check that it loads elsewhere, and store it in the orbit.

        `name` is by default the run's; `options` as of `luml_app.packaging.save_model`. The model's parameter
        ``run_id`` names the run. Gives the artifact's handle, to deploy it; without a server the `SavedArtifact`, whose
        file is sent with the run.
        """
        from luml_app.packaging import save_model

        self._check_open()
        name = name or self.name
        file = f"{uuid.uuid4().hex[:8]}.luml"
        saved = save_model(model, self._folder.models / file, name=name, **options)
        self.change(models={**self._record.models, file: None})
        if self._destination is None or is_offline():
            return saved
        try:
            stored = self._destination.send_model(saved.path, self._record)
        except (LumlError, OSError) as error:
            self._put_off(error)
            return saved
        self.change(models={**self._record.models, file: stored.id})
        return stored

    def child(self, name: str, **options: Any) -> Run:
        """A run below this one, such as a fold or a trial: it goes where this one goes, in its group."""
        wanted = {"group": self._record.group or self.name, "orbit": self._record.orbit, **options}
        return Run(name, parent=self, folder=self.path.parent, destination=self._destination, **wanted)

    def change(self, **facts: Any) -> None:
        """Change facts of the record, such as `tags`, `group` and `description`; whatever thread does so."""
        with self._changing:
            self._record = self._folder.change(**facts)

    def flush(self) -> None:
        """Wait until all that was logged is on disk. Raises `TrackingError` when the disk refuses for a minute."""
        self._writer.flush()

    def params(self) -> dict[str, Any]:
        """The parameters that are logged until now."""
        return self._asked(logged_params)

    def metrics(self) -> dict[str, float]:
        """The last value of each metric that is logged until now."""
        return self._asked(last_metrics)

    def metric_names(self) -> list[str]:
        """The metrics that are logged until now."""
        return self._asked(metric_names)

    def curve(
        self, metric: str, *, buckets: int = BUCKETS, first: int | None = None, last: int | None = None
    ) -> tuple[list[int], list[float]]:
        """Steps and values of a metric between two steps, thinned out to the extremes of so many `buckets`."""
        return self._asked(lambda database: curve(database, metric, buckets=buckets, first=first, last=last))

    def finish(self, status: Status = "completed", error: BaseException | None = None) -> None:
        """End the run: write all there is, and send it, if it goes anywhere. To end it again does nothing.

        What cannot be sent is kept and said; ``luml sync``, or the next run, sends it. In a process other than the one
        that began the run it only waits until all is on disk.
        """
        with self._ending:
            if self._alive is None:
                return
            if os.getpid() != self._owner:
                self._writer.flush()
                return
            self._end(status, error)
        if self._destination is not None and not is_offline():
            self._send(self._destination)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(how_it_ended(error), error)

    def _end(self, status: Status, error: BaseException | None) -> None:
        said = None if error is None else traceback.format_exception_only(error)[-1].strip()[:1000]
        try:
            self._keep_last_words(status, error)
            self._writer.close()
        except (LumlError, OSError) as trouble:  # a full disk must not hide why the training has ended
            warnings.warn(f"The run {self.name!r} is not kept whole: {trouble}", TrackingWarning, stacklevel=4)
        finally:
            lost = self._record.lost + self._writer.lost
            with suppress(OSError):
                self.change(status=status, ended_at=now(), error=said, lost=lost)
            if self._alive is not None:
                self._alive.close()
                self._alive = None
            has_ended(self)

    def _keep_last_words(self, status: Status, error: BaseException | None) -> None:
        for companion in (self._live, self._observer):
            if companion is not None:
                companion.close()
        if cells := notebook_cells(self._first_cell):
            self.attach(cells, "surroundings/cells.py")
        if error is not None and status == "failed":
            self.attach("".join(traceback.format_exception(error)).encode(), "traceback.txt")

    def _send(self, destination: Destination) -> None:
        try:
            with self._folder.alone() as nobody_logs:
                if not nobody_logs:  # a process that logs to it, too, is still there
                    raise TrackingError("Another process still logs to it.")
                self._record = send(self._folder, destination)
        except (LumlError, OSError, sqlite3.Error) as error:
            self._put_off(error)

    def _put_off(self, error: Exception) -> None:
        said = error.message if isinstance(error, LumlError) else str(error)
        kept = f"The run {self.name!r} is kept in {self.path} and sent by `luml sync`, or by the next run. {said}"
        warnings.warn(kept, TrackingWarning, stacklevel=4)

    def _check_open(self) -> None:
        if self._alive is None:
            raise TrackingError(f"The run {self.name!r} has ended; Run(resume={self.id!r}) goes on with it.")

    def _asked(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        if self._alive is not None:
            self._writer.flush()
        with closing(open_database(self._folder.database)) as database:
            return question(database)


def _new_folder(runs: Path, name: str, facts: dict[str, Any]) -> RunFolder:
    for text, what in ((name, "The name"), *((tag, "A tag") for tag in facts["tags"])):
        if not 0 < len(text) <= LONGEST_LABEL or not text.isprintable():  # said now, not at the end of a long training
            raise PackagingError(
                f"{what} of the run, {text[:40]!r}, must have 1 to {LONGEST_LABEL} printable characters."
            )
    folder = RunFolder(runs / str(uuid.uuid4()))
    folder.path.mkdir(parents=True)
    folder.write(Record(id=folder.path.name, name=name, started_at=now(), **facts))
    return folder
