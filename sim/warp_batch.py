"""A batch whose physics runs in MuJoCo Warp: on a GPU, or, to try it, on the CPU.

State and model fields of all worlds stay on the host, in MuJoCo's own batch, and mean there what they mean without a
GPU: what a task writes holds from the next step on. A step sends what changed to the device, advances all worlds there,
and brings the state and the bound outputs back. Resets, `forward`, `set_const`, rays and single worlds for pictures are
MuJoCo's, on the CPU: few worlds need them at a time.

The device computes in single precision and orders its sums as it likes: two runs agree statistically, not bit for bit.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, MODEL_FIELDS, Batch

from toolwright.hardware.robot import F64
from toolwright.sim.batch import BackendError

log = logging.getLogger(__name__)

_STATE = ("qpos", "qvel", "act", "qacc_warmstart", "ctrl", "qfrc_applied", "xfrc_applied", "mocap_pos", "mocap_quat")
# What only the engine on the CPU reads: its middle phase of collisions, its short cuts, its sleep, the compiler.
_UNREAD = {"bvh_aabb", "body_sameframe", "geom_sameframe", "site_sameframe", "dof_length", "dof_M0"}
# Outputs of the same name and another meaning.
_PACKED = {"qLD", "qLDiagInv", "qLU", "solver_niter"}
# Bits for which the device has nothing to switch off.
_WITHOUT = mujoco.mjtDisableBit.mjDSBL_AUTORESET | mujoco.mjtDisableBit.mjDSBL_MIDPHASE
_CONTACTS, _CONSTRAINTS, _MOST = 32, 128, 32  # room for each world at first; how many times as much there may be


class WarpBatch(Batch):
    """`mujoco.batch.Batch` with MuJoCo Warp behind `step`."""

    def __init__(self, model: mujoco.MjModel, nsim: int, nthread: int = 0, device: str = "cuda") -> None:
        """
        Args:
            model: of every world.
            nsim: worlds.
            nthread: of what stays on the CPU; 0: all cores.
            device: "cuda" or "cpu".

        Raises:
            BackendError: no such device, or a model that MuJoCo Warp cannot run.
            ModuleNotFoundError: MuJoCo Warp is not installed.
        """
        super().__init__(model, nsim, nthread)
        self._device = _found(device)
        self._clock = _Clock(self)
        self._room = 1  # times what each world has at first
        self._bound_here: dict[str, np.ndarray] = {}  # outputs, writable
        self._names: frozenset[str] = frozenset()  # expanded fields that the device's model was made with
        self._fixed: dict[str, np.ndarray] = {}  # those of them that are the same in all worlds there, their rows here
        self._made = False
        _refuse(model)

    @property
    def device(self) -> str:
        """What computes the physics, for people."""
        return str(self._device.name)

    # -- as of a batch ------------------------------------------------------------------------------------------------

    def bind(self, name: str) -> np.ndarray:
        """A live (N, ...) array over a field of the data; outputs are those that MuJoCo Warp computes, too.

        Raises:
            BackendError: an output that it does not have.
        """
        host = super().bind(name)
        if host.flags.writeable or name in self._bound_here:  # a view of the state
            return host
        from mujoco_warp import Data

        if name not in Data.__dataclass_fields__ or name in _PACKED:
            raise BackendError(f"MuJoCo Warp does not have '{name}' as MuJoCo does: backend=cpu")
        mine = host.view()
        mine.flags.writeable = True
        self._bound_here[name] = mine
        self._made = False
        return host

    def step(self, ids: Any = None, nstep: int = 1, stage: int = 0) -> None:
        """Advances the worlds `ids` by nstep steps; outputs are those before the last one.

        Raises:
            BackendError: fields that differ between worlds and cannot on the device; a stage.
        """
        if stage:
            raise BackendError("no stage can follow a step on the device: call forward() for the worlds that need it")
        ids = np.arange(self.nsim) if ids is None else np.asarray(ids)
        ids = np.flatnonzero(ids) if ids.dtype == bool else ids
        import warp

        with warp.ScopedDevice(self._device):
            self._push()
            self._advance(nstep)
            while self._overflowed():
                self._push()
                self._advance(nstep)
            self._pull(ids)

    def rollout(self, *args: Any, **kwargs: Any) -> Any:
        """Not on the device."""
        raise BackendError("rollouts run on the CPU: backend=cpu")

    def set_models(self, models: Any) -> None:
        """Not on the device: there, worlds differ by expanded fields."""
        raise BackendError("worlds with models of their own run on the CPU: backend=cpu, or expand() the fields")

    # -- the device ---------------------------------------------------------------------------------------------------

    def _push(self) -> None:
        """Makes the device's worlds those of the host."""
        expanded = frozenset(name for name in MODEL_FIELDS if self.expanded(name) is not None)
        if expanded != self._names or any((self._rows(name) != rows).any() for name, rows in self._fixed.items()):
            self._made = False
        if not self._made:
            self._make(expanded)
        for mirror in self._mirrors:
            mirror.push()
        self._clock.push()

    def _pull(self, ids: np.ndarray) -> None:
        for mirror in self._state:
            mirror.pull(ids)
        self._clock.pull(ids)
        for name, mine in self._bound_here.items():
            mine[ids] = self._data_there.__dict__[name].numpy().reshape(mine.shape)[ids]

    def _advance(self, nstep: int) -> None:
        """Steps on the device, recorded once as a graph: what is to be computed goes there in one call."""
        import mujoco_warp
        import warp

        if nstep not in self._graphs:
            with warp.ScopedCapture() as capture:
                self._data_there.overflow.zero_()
                for _ in range(nstep):
                    mujoco_warp.step(self._model_there, self._data_there)
            self._graphs[nstep] = capture.graph
        warp.capture_launch(self._graphs[nstep])

    def _overflowed(self) -> bool:
        """Whether the last step had too little room for contacts: then there is more, and it has to be repeated."""
        from mujoco_warp import OverflowType as Of

        full = int(Of.NEFC | Of.NJMAX_NNZ | Of.BROADPHASE | Of.NARROWPHASE | Of.CCD)
        worlds = np.flatnonzero(self._data_there.overflow.numpy() & full)
        if not len(worlds):
            return False
        if self._room >= _MOST:
            log.warning("contacts of %d worlds have no room on the device, for one in world %d", len(worlds), worlds[0])
            return False
        self._room *= 2
        self._made = False
        return True

    def _make(self, expanded: frozenset[str]) -> None:
        """The device's model and data anew, with room for what differs between worlds."""
        import mujoco_warp
        import warp

        fields, options = mujoco_warp.Model.__dataclass_fields__, mujoco_warp.Option.__dataclass_fields__
        mirrored, self._fixed = [], {}
        for name in sorted(expanded):
            rows = self._rows(name)
            kind = (options if name.startswith("opt.") else fields).get(name.removeprefix("opt."))
            if getattr(getattr(kind, "type", None), "shape", (None,))[0] == "*":
                if rows.size:
                    mirrored.append(name)
            elif name not in _UNREAD:
                if (rows != rows[0]).any():
                    raise BackendError(f"'{name}' differs between worlds, and cannot in MuJoCo Warp: backend=cpu")
                self._fixed[name] = rows.copy()
        model = self.get_model(0)
        model.opt.disableflags &= ~int(_WITHOUT)
        sizes = {name: self.nsim for name in mirrored if not name.startswith("opt.")}
        with warnings.catch_warnings():
            # Of a contact, the larger friction of both surfaces counts: one of them may be none.
            warnings.filterwarnings("ignore", message=".*MJ_MINMU.*")
            try:
                there = mujoco_warp.put_model(model, sizes)
            except (NotImplementedError, ValueError) as error:
                raise BackendError(f"MuJoCo Warp cannot run this model: {error}; backend=cpu") from error
        there.opt.warn_overflow = 0
        for name in set(mirrored) - set(sizes):
            option = name.removeprefix("opt.")
            setattr(there.opt, option, warp.zeros(self.nsim, dtype=getattr(there.opt, option).dtype))
        room = {"nconmax": self._room * _CONTACTS, "njmax": self._room * _CONSTRAINTS}
        data = mujoco_warp.make_data(model, nworld=self.nsim, **room)

        def device_field(name: str) -> Any:
            owner = there.opt if name.startswith("opt.") else there
            return getattr(owner, name.removeprefix("opt."))

        self._model_there, self._data_there = there, data
        self._state = [_Mirror(self.bind(name), getattr(data, name)) for name in _STATE if self.bind(name).size]
        self._mirrors = [*self._state, *(_Mirror(self._rows(name), device_field(name)) for name in mirrored)]
        self._clock.attach(data)
        self._graphs: dict[int, Any] = {}
        self._names, self._made = expanded, True

    def _rows(self, name: str) -> np.ndarray:
        rows = self.expanded(name)
        assert rows is not None
        return rows


class _Mirror:
    """Rows (N, ...) of the host, and the device's array of the same."""

    def __init__(self, host: np.ndarray, device: Any) -> None:
        import warp

        self._host = host.reshape(len(host), -1)
        assert np.shares_memory(self._host, host)
        self._dtype = device.numpy().dtype  # of the single numbers in vectors and quaternions
        # The same memory as plain numbers; `_keep` owns it.
        self._keep, scalar = device, warp.dtype_from_numpy(self._dtype)
        self._device: Any = warp.array(ptr=device.ptr, dtype=scalar, shape=self._host.shape, device=device.device)
        self._there: np.ndarray | None = None  # what the device holds; None: nothing of ours

    def push(self) -> None:
        """Sends the rows that are not what the device holds."""
        import warp

        if self._there is None:
            self._device.assign(self._host.astype(self._dtype))
            self._there = self._host.copy()
            return
        rows = np.flatnonzero((self._host != self._there).any(axis=1))
        if not len(rows):
            return
        self._there[rows] = self._host[rows]
        if len(rows) == len(self._host):
            self._device.assign(self._host.astype(self._dtype))
            return
        sent: Any = warp.array(self._host[rows].astype(self._dtype), dtype=self._device.dtype)
        warp.copy(self._device[warp.array(rows, dtype=int)], sent)

    def pull(self, ids: np.ndarray) -> None:
        """Brings the rows `ids` back."""
        assert self._there is not None
        self._there[:] = self._device.numpy()
        self._host[ids] = self._there[ids]


class _Clock:
    """Time, and the times in the buffers of late commands.

    On the device every step begins at zero: in single precision, late in an episode, a command that is due in this
    very step would seem to be due in the next.
    """

    def __init__(self, batch: Batch) -> None:
        model = batch.model
        self._time, self._history = batch.bind("time"), batch.bind("history")
        rows = [
            np.arange(start + 2, start + 2 + samples)  # after two counters
            for start, samples in zip(model.actuator_historyadr, model.actuator_history[:, 0], strict=True)
            if samples
        ]
        self._stamps = np.concatenate(rows) if rows else np.zeros(0, dtype=np.intp)
        self._began: F64 = np.zeros(len(self._time))

    def attach(self, data: Any) -> None:
        """Serves this data of the device."""
        self._data = data

    def push(self) -> None:
        """Sends the buffers, as they are at time zero."""
        self._began = self._time.copy()
        self._data.time.zero_()
        if self._history.shape[1]:
            shifted = self._history.copy()
            shifted[:, self._stamps] -= self._began[:, None]
            self._data.history.assign(shifted.astype(np.float32))

    def pull(self, ids: np.ndarray) -> None:
        """Brings time and buffers of the worlds `ids` back."""
        self._time[ids] = self._began[ids] + self._data.time.numpy()[ids]
        if self._history.shape[1]:
            history = self._data.history.numpy().astype(np.float64)
            history[:, self._stamps] += self._began[:, None]
            self._history[ids] = history[ids]


def _found(device: str) -> Any:
    """The device of this name.

    Raises:
        BackendError: there is none.
    """
    import mujoco_warp  # noqa: F401  # a missing package is told here
    import warp

    warp.config.log_level = warp.LOG_ERROR  # no banner, no line for each kernel
    warp.init()
    if device == "cuda" and not warp.is_cuda_available():
        raise BackendError(
            "no CUDA device: backend=gpu needs an NVIDIA card with its driver (try nvidia-smi); "
            "backend=warp-cpu runs the same physics without, slowly"
        )
    return warp.get_device(device)


def _refuse(model: mujoco.MjModel) -> None:
    """Refuses what would silently be something else on the device.

    Raises:
        BackendError: such a model.
    """
    if model.nsensor and (model.sensor_history[:, 0] > 0).any():
        raise BackendError("sensors with a delay need the CPU's clock: backend=cpu")
    if model.neq or model.nplastic:
        raise BackendError("equality constraints and plastic joints are not mirrored on the device: backend=cpu")


assert set(_STATE) <= DATA_FIELDS
