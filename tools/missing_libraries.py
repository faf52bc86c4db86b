"""Prints the Debian packages that drawing without a display, Open3D and the camera's driver still need, or nothing.

Standard library only: `setup.sh` runs this before any package is installed.
"""

import ctypes


def loads(library: str) -> bool:
    """True where the shared library is installed."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


# EGL makes the context, but the drawing calls are in libOpenGL or libGL. OSMesa has both.
egl = loads("libEGL.so.1") and (loads("libOpenGL.so.0") or loads("libGL.so.1"))
if not egl and not loads("libOSMesa.so.8"):
    print("libegl1", "libgl1")
if not loads("libusb-1.0.so.0"):
    print("libusb-1.0-0")
for library, package in {"libX11.so.6": "libx11-6", "libudev.so.1": "libudev1", "libidn2.so.0": "libidn2-0"}.items():
    if not loads(library):  # Open3D
        print(package)
