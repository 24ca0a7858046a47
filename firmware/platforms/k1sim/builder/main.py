"""SCons script of the ``sim`` environment.

core and host sources -> firmware.elf -> imports checked -> cost table -> stripped -> firmware.bin and its siblings.
"""

import fcntl
import os
import sys
from dataclasses import replace
from pathlib import Path

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
project = Path(env.subst("$PROJECT_DIR"))
build = Path(env.subst("$BUILD_DIR"))
tools = project / "tools"
sys.path.insert(0, str(tools))
from identity import INFO_FILE, identity  # noqa: E402
from sim_flags import toolchain  # noqa: E402

REGISTRY = "core/patterns/registry.cpp"

# Two builds at once would tear each other's files: the second waits. Held until this process ends.
build.mkdir(parents=True, exist_ok=True)
lock = open(build / ".lock", "w")  # noqa: SIM115
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Waiting for another build in " + str(build))
    fcntl.flock(lock, fcntl.LOCK_EX)

# Patterns made from specifications (docs/patterns.md): a folder of C++ outside this project, or none.
generated = os.environ.get("K1_GENERATED_PATTERNS", "")
compiler = toolchain()
source = Path(env.subst("$PROJECT_SRC_DIR"))
# SCons adds nothing of its own: what is compiled, and how, is part of the cost model.
env.Replace(
    CC=compiler.cxx, CXX=compiler.cxx, LINK=compiler.cxx, CPPDEFINES=[],
    CPPPATH=[str(source), *([generated] if generated else [])],
    CCFLAGS=[], CFLAGS=[], CXXFLAGS=[], LINKFLAGS=compiler.link_flags, PROGSUFFIX="",
)  # fmt: skip


def who():
    """The build's identity: with patterns of its own it is not what the commit holds."""
    own = identity(project)
    return replace(own, commit=own.commit.rstrip("+") + "+") if generated else own


def objects(folder, flags):
    """Compiles every source below one folder of ``src``; headers are found by SCons' own scanner."""
    made = []
    compile_env = env.Clone(CXXFLAGS=flags)
    for path in sorted((source / folder).rglob("*.cpp")):
        name = path.relative_to(source)
        own = {}
        if name.as_posix() == INFO_FILE:
            own["CPPDEFINES"] = list(who().macros(project="k1-sim", hil=True).items())
        if name.as_posix() == REGISTRY and generated:
            own["CPPDEFINES"] = ["K1_GENERATED"]
        made += compile_env.Object(str(build / "obj" / name.with_suffix(".o")), str(path), **own)
    return made


def generated_objects():
    """Compiles the generated patterns as the core is compiled."""
    compile_env = env.Clone(CXXFLAGS=compiler.core_flags)
    sources = sorted(Path(generated).glob("*.cpp")) if generated else []
    return [compile_env.Object(str(build / "obj" / "generated" / f"{p.stem}.o"), str(p))[0] for p in sources]


def run(script, *arguments):
    return " ".join(['"$PYTHONEXE"', f'"{tools / script}"', *arguments])


core = objects("core", compiler.core_flags) + generated_objects()
host = objects("host", compiler.host_flags)
helpers = [str(tools / name) for name in ("sim_flags.py", "instruction_cost.py", "cost_table.py", "make_image.py")]
wire = [
    str(path)
    for path in sorted((project.parent / "harness" / "wire").glob("*.py"))
    if path.stem in ("image", "otadata", "partitions")
]

# The host's objects come first: the hook's constructor runs before those of the core.
checked = env.Command(
    str(build / "imports.checked"),
    core,
    env.VerboseAction(run("check_imports.py", "$SOURCES", '&& echo ok > "$TARGET"'), "Checking what the core imports"),
)
env.Depends(checked, str(tools / "check_imports.py"))
elf = env.Program(str(build / "firmware.elf"), host + core)
env.Depends(elf, checked)
cost = env.Command(
    str(build / "firmware.cost"),
    elf,
    env.VerboseAction(run("cost_table.py", '"$SOURCE"', '"$TARGET"'), "Counting the cost of every block"),
)
stripped = env.Command(
    str(build / "firmware.stripped"), elf, env.VerboseAction('strip -o "$TARGET" "$SOURCE"', "Stripping $TARGET")
)
names = ("firmware.bin", "bootloader.bin", "partitions.bin", "boot_app0.bin", "firmware.manifest.json")
table = str(project / "partitions.csv")
image = env.Command(
    [str(build / name) for name in names],
    [elf[0], stripped[0], cost[0], table],
    env.VerboseAction(
        run(
            "make_image.py", '--elf "${SOURCES[0]}"', '--stripped "${SOURCES[1]}"', '--cost "${SOURCES[2]}"',
            '--partitions "${SOURCES[3]}"', f'--out "{build}"',
        ),
        "Packing ${TARGETS[0]}",
    ),
)  # fmt: skip
env.Depends([*cost, *image], [*helpers, *wire])
AlwaysBuild(env.Alias("buildprog", image))
Default(image)
if "size" in COMMAND_LINE_TARGETS:
    AlwaysBuild(env.Alias("size", elf, env.VerboseAction('size "$SOURCE"', "Sizes of $SOURCE")))
