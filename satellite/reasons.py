"""Why a deployment cannot be served, and what a person can do about it: one table of sentences, and how each is found.

A report to the platform carries `reason` (a sentence), `error` (the lines that show it) and `next_step` (what to do).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """What is wrong, in a sentence without its full stop; and the next step of whoever reads it."""

    text: str
    next_step: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Ending:
    """How a replica ended: its exit code (128 + the signal's number for a signal), whether its memory ran out.

    `refusal` is what was said of one that could not even begin, on the machine that it was given to.
    """

    code: int | None = None
    out_of_memory: bool = False
    refusal: str = ""


KILLED = 128 + 9

MODEL_FAILED = Reason(
    "The model failed to load",
    "The end of its traceback is below. Load the model in a fresh interpreter, correct it, and deploy the new version.",
)
MODULE_MISSING = Reason(
    "The model imports a module that its environment does not have",
    "Add the package to the model's requirements when it is saved, and deploy the new version.",
)
VARIABLE_MISSING = Reason(
    "The model reads a variable of its environment that is not set",
    "Set it among the deployment's environment variables or secrets.",
)
MODEL_ENDED = Reason(
    "The model server ended by itself",
    "The last lines that it printed are below; `luml logs` shows more. Restart the deployment when that is mended.",
)
OUT_OF_MEMORY = Reason(
    "The model ran out of memory",
    "Raise `memory_mib` of the deployment, or lower `workers`; the satellite's own limit is SATELLITE_MEMORY_MIB.",
)
KILLED_FROM_OUTSIDE = Reason(
    "The model server was killed",
    "Most likely the satellite's machine ran out of memory: look into its system log, or lower `memory_mib`, "
    "`replicas` or `workers` of the deployments on it.",
)
NOT_READY = Reason(
    "The model was not ready in time",
    "Raise `ready_seconds` of the deployment if the model is large; its last lines are below.",
)
UNUSABLE_FILE = Reason(
    "The model file is not usable",
    "Save and upload the model again: what was uploaded is not a complete .luml file.",
)
DIGEST_MISMATCH = Reason(
    "The model file is not the one that was uploaded",
    "Its bytes differ from the digest in the registry: somebody or something has changed the object in the bucket. "
    "Upload the model again and deploy that version.",
)
PLATFORM_REFUSED = Reason(
    "The platform did not give what the model needs",
    "See that the artifact and the secrets of the deployment still exist in its orbit.",
)
SECRET_MISSING = Reason(
    "A secret that the deployment refers to cannot be read",
    "Create the secret again and refer to it in the deployment, or take the reference out.",
)
BUCKET_REFUSED = Reason(
    "The bucket did not give the model file",
    "See that the object is still in the bucket and that the bucket's credentials are good.",
)
BUCKET_AWAY = Reason(
    "The bucket does not answer",
    "See that the satellite's machine reaches it (`luml satellite doctor`); the download is tried again by itself.",
)
DISK_FULL = Reason(
    "The disk of the satellite's machine is full",
    "Free space in SATELLITE_DATA, or lower SATELLITE_CACHE_GIB; the start is tried again by itself.",
)
MACHINE_REFUSED = Reason(
    "The satellite's machine cannot hold the model",
    "`luml satellite doctor` on that machine says more; the start is tried again by itself.",
)
ENVIRONMENT_UNSOLVABLE = Reason(
    "The model's requirements contradict each other or do not exist",
    "The solver's words are below: correct the requirements with which the model is saved, and deploy the new version.",
)
ENVIRONMENT_UNREACHABLE = Reason(
    "The packages of the model's environment cannot be downloaded",
    "See that the satellite reaches the package index; its PIP_INDEX_URL, proxies and certificates apply.",
)
ENVIRONMENT_NO_PYTHON = Reason(
    "The Python version that the model was saved with is not to be had here",
    "Save the model with the satellite's Python version, or let the satellite download interpreters (UV_PYTHON_…).",
)
ENVIRONMENT_FAILED = Reason(
    "The model's Python environment could not be built",
    "The builder's last lines are below; most often a package has no wheel for this machine and cannot be compiled.",
)
BASE_IMAGE_MISSING = Reason(
    "The base image is not on the engine and cannot be pulled",
    "Set SATELLITE_BASE_IMAGE to an image with Python that is there, or SATELLITE_REGISTRY_USER and "
    "SATELLITE_REGISTRY_PASSWORD for its registry.",
)
IMAGE_BUILD_FAILED = Reason(
    "The model image cannot be built",
    "The last lines of the build are below; the base needs Python with venv, the build a package index or "
    "SATELLITE_WHEELHOUSE.",
)
PORT_TAKEN = Reason(
    "A port that the replica needs is taken",
    "End what listens on it, or restart the Docker engine if nothing does.",
)
NO_GPU = Reason(
    "The engine cannot give the model a GPU",
    "Install the NVIDIA container toolkit on the satellite's machine, or deploy with `gpus` 0.",
)
NOT_STARTED = Reason(
    "The replica could not be started",
    "The engine's words are below; `luml satellite doctor` on the satellite's machine says more.",
)
NO_NODE = Reason(
    "No node of the swarm can take the replica",
    "See with `docker node ls` which nodes are up; they must fit SATELLITE_CONSTRAINTS and have the GPUs asked for.",
)
NODE_LACKS_IMAGE = Reason(
    "A node of the swarm does not have the model image",
    "Set SATELLITE_IMAGE to a name in a registry that all nodes can reach, or load the image on each node "
    "(`docker save` here, `docker load` there).",
)
HANDOVER_TOO_LARGE = Reason(
    "The secrets of the deployment are too large for a swarm",
    "A swarm keeps 500 kB for each replica: keep large files in a bucket, and only their keys in secrets.",
)
BAD_PARAMETER = Reason(
    "A parameter of the deployment does not fit this satellite",
    "Make a revision with a value that fits.",
)
UNSUPPORTED_VARIANT = Reason(
    "This satellite cannot serve models of this kind",
    "Save the model as a pyfunc or a pipeline.",
)
RUNTIME_AWAY = Reason(
    "It is unknown what runs: the runtime of the satellite does not answer",
    "Start the Docker engine of the satellite's machine (`luml satellite doctor` there says more). What served goes on "
    "as long as it can, nothing is started or stopped meanwhile, and this goes by itself when the engine is back.",
)
RUNTIME_MISSING = Reason(
    "The runtime that was asked for does not work here",
    "`luml satellite doctor` says what is lacking; SATELLITE_RUNTIME=process needs no engine.",
)

# What uv says, and which reason that is; the first that is found counts.
BUILDER_SAYS = (
    (("no space left", "os error 28"), DISK_FULL),
    (("no solution found", "there is no version", "was not found in the package"), ENVIRONMENT_UNSOLVABLE),
    (("failed to parse", "invalid requirement", "expected one of"), ENVIRONMENT_UNSOLVABLE),
    (("no interpreter found", "no download found", "failed to inspect python"), ENVIRONMENT_NO_PYTHON),
    (("invalid version request",), ENVIRONMENT_NO_PYTHON),
    (("error sending request", "failed to fetch", "dns error", "connection refused"), ENVIRONMENT_UNREACHABLE),
)  # fmt: skip
ENGINE_SAYS = (
    (("port is already allocated", "address already in use"), PORT_TAKEN),
    (("could not select device driver", "nvidia-container"), NO_GPU),
    (("no space left",), DISK_FULL),
)
SWARM_SAYS = (
    (("no suitable node",), NO_NODE),
    (("no such image", "not found: manifest unknown", "pull access denied"), NODE_LACKS_IMAGE),
)
TRACEBACK_ENDS = (
    (("memoryerror", "std::bad_alloc"), OUT_OF_MEMORY),
    (("modulenotfounderror",), MODULE_MISSING),
    (("no space left on device",), DISK_FULL),
)
Table = tuple[tuple[tuple[str, ...], Reason], ...]


def error_message(reason: Reason, error: str) -> dict[str, str]:
    """A failure as the platform keeps it: the contract's two keys, and what to do."""
    return {"reason": reason.text, "error": error, "next_step": reason.next_step}


def of_builder(words: str) -> Reason:
    """Why an environment could not be built, from what the builder printed last."""
    return first_said(BUILDER_SAYS, words) or ENVIRONMENT_FAILED


def of_engine(words: str) -> Reason:
    """Why a container could not be started, from what the engine says."""
    return first_said(ENGINE_SAYS, words) or NOT_STARTED


def of_load(traceback: str) -> Reason:
    """Why a model did not load, from the end of its traceback."""
    last = traceback.strip().rpartition("\n")[2]
    if last.startswith("KeyError") and "<frozen os>" in traceback:
        return VARIABLE_MISSING
    return first_said(TRACEBACK_ENDS, last) or MODEL_FAILED


def of_ending(ending: Ending | None, printed: str) -> Reason:
    """Why a replica ended by itself, from how it ended and what it printed last."""
    if ending and ending.out_of_memory:
        return OUT_OF_MEMORY
    if ending and ending.refusal:
        return first_said(SWARM_SAYS, ending.refusal) or of_engine(ending.refusal)
    if ending and ending.code == KILLED:
        return KILLED_FROM_OUTSIDE
    said = first_said(TRACEBACK_ENDS, printed.strip().rpartition("\n")[2])
    return said or MODEL_ENDED


def of_os_error(error: OSError) -> Reason:
    """Why a file could not be written."""
    return DISK_FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else MACHINE_REFUSED


def first_said(table: Table, words: str) -> Reason | None:
    """The first reason of a table of which one phrase is in the words."""
    small = words.lower()
    return next((reason for phrases, reason in table if any(phrase in small for phrase in phrases)), None)
