"""The checks of `toolwright doctor`. Each one tries the thing itself where it can, and ends within seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from toolwright.launch.errors import install_hint
from toolwright.launch.results import Check

_PICTURE = """
import mujoco
from toolwright.sim.render import gl_backend, snapshot
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom type='sphere' size='.5'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
assert snapshot(model, data, mujoco.MjvCamera(), (16, 16)).std() > 0, "the picture is blank"
print("drew a picture with", gl_backend())
"""
_CAMERAS = (
    "import pyrealsense2 as rs; print(*(d.get_info(rs.camera_info.name) for d in rs.context().devices), sep=', ')"
)
_GPU = """
import mujoco_warp
import warp
warp.config.log_level = warp.LOG_ERROR
print(warp.get_device("cuda").name if warp.is_cuda_available() else "")
"""
_FREE_DISK = 2.0  # GB, for a training with its checkpoints and videos
_TIMEOUT = 30  # s


def _python(code: str, **variables: str) -> tuple[bool, str]:
    """Runs code in a fresh Python: a broken library or a segmentation fault must not end the doctor."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_TIMEOUT} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode and not lines:
        return False, f"Python ended with exit code {done.returncode}"
    return done.returncode == 0, lines[-1].removeprefix("ModuleNotFoundError: ") if lines else ""


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _python_version(name: str) -> Check:
    number = ".".join(map(str, sys.version_info[:3]))
    return Check(name=name, state="ok", detail=f"{number}, {sys.executable}")


def _physics(name: str) -> Check:
    works, line = _python("import mujoco; print(mujoco.__version__)", MUJOCO_GL="disable")
    return Check(name=name, state="ok" if works else "missing", detail=line, hint="" if works else "make install")


def _learning(name: str) -> Check:
    code = (
        "import torch; gpu = torch.cuda.is_available();"
        "print(torch.__version__ + ', ' + (torch.cuda.get_device_name(0) if gpu else 'no GPU: trains on the CPU'))"
    )
    works, line = _python(code)
    return Check(name=name, state="ok" if works else "missing", detail=line, hint="" if works else "make install")


def _gpu_physics(name: str) -> Check:
    works, line = _python(_GPU)
    if works and line:
        return Check(name=name, state="ok", detail=line)
    detail, hint = line, install_hint("gpu")
    if works:
        detail, hint = "no CUDA device; trains on the CPU", "an NVIDIA card with its driver (try nvidia-smi)"
    return Check(name=name, state="missing (optional)", detail=detail, hint=hint)


def _rendering(name: str) -> Check:
    works, line = _python(_PICTURE)
    if works:
        return Check(name=name, state="ok", detail=line)
    hint = "sudo apt-get install libegl1 libgl1; unset MUJOCO_GL where it is set"
    return Check(name=name, state="missing", detail=line, hint=hint)


def _video(name: str) -> Check:
    try:
        import imageio_ffmpeg

        return Check(name=name, state="ok", detail=f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
    except (ImportError, RuntimeError) as error:
        return Check(name=name, state="missing", detail=str(error), hint="make install")


def _weights(name: str) -> Check:
    from safetensors import SafetensorError, safe_open

    folder = Path(str(files("toolwright.policies"))) / "weights"
    shipped = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.safetensors"))}
    bad = []
    for where, file in shipped.items():
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            bad.append(f"{where}: {error}")
        if not (file.parent / "card.json").is_file():
            bad.append(f"{where}: its card.json is missing")
    if bad:
        return Check(name=name, state="missing", detail="; ".join(bad), hint="git checkout policies/weights")
    if not shipped:
        return Check(name=name, state="missing", detail="no weights are shipped", hint="toolwright train held_tool")
    return Check(name=name, state="ok", detail=", ".join(where.rpartition("/")[0] for where in shipped))


def _disk(name: str) -> Check:
    free = shutil.disk_usage(".").free / 1e9
    detail = f"{free:.1f} GB free here"
    if free > _FREE_DISK:
        return Check(name=name, state="ok", detail=detail)
    return Check(name=name, state="missing", detail=detail, hint=f"free at least {_FREE_DISK:.0f} GB")


def _cores(name: str) -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(name=name, state="ok", detail=f"{cores} for this process")


def _vision(name: str) -> Check:
    packages = {package: _installed(package) for package in ("open3d", "onnxruntime")}
    if all(packages.values()):
        return Check(name=name, state="ok", detail=", ".join(f"{key} {value}" for key, value in packages.items()))
    detail = ", ".join(f"no {package}" for package, number in packages.items() if not number)
    return Check(name=name, state="missing (optional)", detail=detail, hint=install_hint("vision"))


def _console(name: str) -> Check:
    return _package(name, "textual", "console", "no textual; 'toolwright do' works without")


def _mcp(name: str) -> Check:
    return _package(name, "mcp", "mcp", "no mcp; all but 'toolwright serve' works without")


def _package(name: str, package: str, extra: str, without: str) -> Check:
    """A command that needs one optional package."""
    number = _installed(package)
    if number:
        return Check(name=name, state="ok", detail=f"{package} {number}")
    return Check(name=name, state="missing (optional)", detail=without, hint=install_hint(extra))


def _endpoint(name: str) -> Check:
    from toolwright.llm_planner.language import model_endpoint

    if not _installed("pydantic-ai-slim"):
        return Check(
            name=name, state="missing (optional)", detail="no pydantic-ai; offline works", hint=install_hint("llm")
        )
    base = os.environ.get("OPENAI_BASE_URL")
    keys = [key for key in (model_endpoint.KEY, "OPENAI_API_KEY") if os.environ.get(key)]
    if not (base or keys):
        hint = "--model URL, or OPENAI_API_KEY and --model openai:NAME"
        return Check(name=name, state="missing (optional)", detail="none is set; offline works", hint=hint)
    detail = f"{' and '.join(keys) or 'no key'} set"
    if base:
        try:
            endpoint = model_endpoint.parse(base)
            names = model_endpoint.listed(endpoint)
        except model_endpoint.ModelError as error:
            hint = "start the server, or correct OPENAI_BASE_URL"
            return Check(name=name, state="missing (optional)", detail=f"{detail}; {error}", hint=hint)
        detail += f"; {endpoint.where} has {', '.join(names) or 'no list of models'}"
    return Check(name=name, state="ok", detail=detail)


def _ros(name: str) -> Check:
    works, line = _python("import rclpy, os; print('rclpy', os.environ.get('ROS_DISTRO', ''))")
    if works:
        return Check(name=name, state="ok", detail=line.strip())
    hint = f"source /opt/ros/jazzy/setup.bash, or {install_hint('ros')}"
    return Check(name=name, state="missing (optional)", detail=line, hint=hint)


def _camera(name: str) -> Check:
    works, line = _python(_CAMERAS)
    if works and line:
        return Check(name=name, state="ok", detail=line)
    hint = "plug a RealSense camera into a USB 3 port" if works else install_hint("hardware")
    return Check(name=name, state="missing (optional)", detail="no device" if works else line, hint=hint)


def _serial(name: str) -> Check:
    ports = sorted(port for kind in ("ttyUSB", "ttyACM") for port in Path("/dev").glob(f"{kind}*"))
    if not ports:
        hint = "plug in the USB adapter of the hand's motor bus"
        return Check(name=name, state="missing (optional)", detail="no /dev/ttyUSB* or /dev/ttyACM*", hint=hint)
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        detail = f"no permission for {', '.join(map(str, closed))}"
        hint = "sudo usermod -aG dialout $USER, then log in again"
        return Check(name=name, state="missing (optional)", detail=detail, hint=hint)
    return Check(name=name, state="ok", detail=", ".join(map(str, ports)))


CHECKS: dict[str, Callable[[str], Check]] = {
    "Python": _python_version,
    "physics (MuJoCo)": _physics,
    "rendering (GL)": _rendering,
    "learning (torch)": _learning,
    "GPU physics (Warp)": _gpu_physics,
    "video (ffmpeg)": _video,
    "weights": _weights,
    "disk": _disk,
    "CPU cores": _cores,
    "vision": _vision,
    "language model": _endpoint,
    "console": _console,
    "MCP server": _mcp,
    "ROS 2": _ros,
    "RealSense camera": _camera,
    "serial port": _serial,
}
