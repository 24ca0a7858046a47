"""PlatformIO script of the chip environments: gives ``core/build_info.cpp`` its identity."""

import sys
from pathlib import Path

Import("env")  # type: ignore[name-defined]  # noqa: F821  (SCons puts it there)
sys.path.insert(0, str(Path(env["PROJECT_DIR"]) / "tools"))  # type: ignore[name-defined]  # noqa: F821
from identity import INFO_FILE, identity  # noqa: E402


def add_macros(build_env, node):  # noqa: ANN001, ANN201  (SCons types)
    """Compiles this one file with the macros."""
    macros = identity().macros(project="k1", hil=False)
    # The contract's device info names what the image was built with.
    macros["K1_PLATFORM"] = r'\"espressif32@6.12.0\"'
    macros["K1_FRAMEWORK"] = r'\"arduino@3.20017.241212\"'
    return build_env.Object(node, CPPDEFINES=[*build_env.get("CPPDEFINES", []), *macros.items()])


env.AddBuildMiddleware(add_macros, f"*/{INFO_FILE}")  # type: ignore[name-defined]  # noqa: F821
