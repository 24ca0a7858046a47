"""The cost table: what single instructions cost, and that a program's costs follow what is written in its source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "firmware" / "tools"
sys.path.insert(0, str(TOOLS))
import check_imports  # noqa: E402
import instruction_cost  # noqa: E402
from cost_table import (  # noqa: E402
    HOOK,
    CostTable,
    Instruction,
    block_costs,
    disassemble,
    model_id,
    model_of,
    pack,
    table_of,
)
from sim_flags import Toolchain, toolchain  # noqa: E402

SAMPLE = """
extern "C" {
void __sanitizer_cov_trace_pc() {}
float steps(float x, float y) { STEPS return x + y; }
float roots(float x) { ROOTS return x; }
int loop(const int* p, int n) { int s = 0; for (int i = 0; i < n; ++i) s += p[i]; return s; }
int fork(int n) { return n > 3 ? n / 7 : n * 3; }
}
volatile float sink; volatile int whole; int data[4];
int main() { sink = steps(sink, 2.0f); sink = roots(sink); whole = loop(data, 4) + fork(whole); }
"""


def build(folder: Path, steps: int, roots: int = 0) -> Path:
    text = SAMPLE.replace("STEPS", "x = x * y + 1.25f; " * steps)
    text = text.replace("ROOTS", "x = __builtin_sqrtf(x + 1.0f); " * roots)
    source, program = folder / "sample.cpp", folder / "sample"
    source.write_text(
        text.replace("float steps", "[[gnu::noinline]] float steps").replace(
            "float roots", "[[gnu::noinline]] float roots"
        )
    )
    tools = toolchain()
    flags = [flag for flag in tools.core_flags if not flag.endswith("copies.h") and flag != "-include"]
    done = subprocess.run(
        [tools.cxx, *flags, "-Wno-pedantic", *tools.link_flags, str(source), "-o", str(program)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return program


def costs_by_function(program: Path) -> dict[str, int]:
    cost = instruction_cost.x86_cost if toolchain().machine.startswith("x86_64") else instruction_cost.arm_cost
    return {name.lstrip("_"): sum(block_costs(body, cost).values()) for name, body in disassemble(program)}


def test_straight_line_arithmetic_costs_in_proportion(tmp_path: Path) -> None:
    costs = {n: costs_by_function(build(tmp_path, n))["steps"] for n in (0, 20, 40, 80)}
    step = (costs[80] - costs[40]) / 40
    assert 2 * instruction_cost.FLOAT <= step <= 2 * instruction_cost.FLOAT + 2
    assert costs[40] - costs[20] == pytest.approx(20 * step, abs=3)
    assert costs[20] - costs[0] == pytest.approx(20 * step, abs=8)


def test_a_root_costs_its_sequence(tmp_path: Path) -> None:
    few, many = (costs_by_function(build(tmp_path, 0, n))["roots"] for n in (10, 30))
    one = instruction_cost.FLOAT_ROOT + instruction_cost.FLOAT
    assert one <= (many - few) / 20 <= one + 8


def test_every_hook_of_a_program_has_a_cost(tmp_path: Path) -> None:
    program = build(tmp_path, 3)
    hooks = sum(i.hook for _, body in disassemble(program) for i in body)
    table = table_of(program, toolchain().machine)
    assert len(table.cycles) == hooks > 8
    assert all(1 <= cycles < 1000 for cycles in table.cycles.values())


def test_a_program_without_the_hook_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "plain.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run([toolchain().cxx, "-x", "c", str(source), "-o", str(tmp_path / "plain")], check=True, timeout=60)
    with pytest.raises(ValueError, match=HOOK):
        table_of(tmp_path / "plain", toolchain().machine)


def hook(address: int) -> Instruction:
    return Instruction(address, "call", f"1000 <{HOOK}>", 0x1000, True)


def test_ways_without_a_hook_are_charged_to_the_one_before() -> None:
    """entry 1 | hook A: 2, then either 5 more by hand-made fork or 1; | hook B: 3."""
    body = [
        Instruction(0, "add", ""),
        hook(1),
        Instruction(6, "add", ""),
        Instruction(7, "jne", "20 <f+0x14>", 20),
        *(Instruction(8 + i, "add", "") for i in range(5)),
        Instruction(20, "add", ""),
        hook(21),
        Instruction(26, "ret", ""),
    ]
    unit = {"add": 1, "jne": 2, "ret": 3}
    costs = block_costs(body, lambda mnemonic, _: unit[mnemonic])
    assert costs == {6: 1 + (1 + 2) + 5 + 1, 26: 3}


def test_a_loop_without_a_hook_counts_once() -> None:
    body = [hook(0), Instruction(5, "add", ""), Instruction(6, "jne", "5 <f>", 5), Instruction(8, "ret", "")]
    assert block_costs(body, lambda *_: 1) == {5: 3}


@pytest.mark.parametrize(
    ("mnemonic", "operands", "cycles"),
    [
        ("add", "%eax,%ebx", 1),
        ("mov", "0x8(%rdi),%eax", 1),
        ("mov", "%eax,0x8(%rdi)", 1),
        ("add", "%eax,0x8(%rdi)", 3),
        ("add", "0x8(%rdi),%eax", 2),
        ("lea", "0x8(%rdi,%rax,4),%rax", 1),
        ("cmpl", "$0x3,(%rax)", 2),
        ("jne", "401000 <f>", 2),
        ("call", "401000 <f>", 3),
        ("ret", "", 3),
        ("imul", "%eax,%ebx", 2),
        ("idivl", "0x8(%rsp)", 11),
        ("div", "%rcx", 60),
        ("div", "%ecx", 10),
        ("addss", "%xmm1,%xmm0", 2),
        ("mulss", "0x10(%rax),%xmm0", 3),
        ("mulss", "-0x14(%rbp),%xmm0", 2),
        ("movss", "%xmm0,-0x14(%rbp)", 0),
        ("movss", "0x4(%rax),%xmm0", 1),
        ("movaps", "%xmm1,%xmm0", 1),
        ("divss", "%xmm1,%xmm0", 20),
        ("sqrtss", "%xmm1,%xmm0", 25),
        ("cvtsi2ss", "%eax,%xmm0", 3),
        ("cvttss2si", "%xmm0,%eax", 3),
        ("addsd", "%xmm1,%xmm0", 40),
        ("mulsd", "%xmm1,%xmm0", 50),
        ("nopw", "0x0(%rax,%rax,1)", 0),
        ("cs", "nopw 0x0(%rax,%rax,1)", 0),
        ("data16", "cs nopw 0x0(%rax,%rax,1)", 0),
        ("xchg", "%ax,%ax", 0),
    ],
)
def test_x86_instructions(mnemonic: str, operands: str, cycles: int) -> None:
    assert instruction_cost.x86_cost(mnemonic, operands) == cycles


@pytest.mark.parametrize(
    ("mnemonic", "operands", "cycles"),
    [
        ("add", "w0, w1, w2", 1),
        ("ldr", "w0, [x1, #8]", 1),
        ("ldr", "s0, [sp, #12]", 0),
        ("stp", "x29, x30, [sp, #-32]!", 2),
        ("b.ne", "1000 <f>", 2),
        ("cbz", "w0, 1000 <f>", 2),
        ("bl", "1000 <f>", 3),
        ("fmul", "s0, s1, s2", 2),
        ("fadd", "d0, d1, d2", 40),
        ("fdiv", "s0, s1, s2", 20),
        ("fsqrt", "s0, s1", 25),
        ("scvtf", "s0, w1", 3),
        ("fcvt", "d0, s0", 30),
        ("sdiv", "w0, w1, w2", 10),
        ("sdiv", "x0, x1, x2", 60),
        ("madd", "w0, w1, w2, w3", 2),
        ("nop", "", 0),
    ],
)
def test_arm_instructions(mnemonic: str, operands: str, cycles: int) -> None:
    assert instruction_cost.arm_cost(mnemonic, operands) == cycles


def test_model_ids_tell_compilers_and_flags_apart() -> None:
    ids = {
        model_id("-O2", "gcc12.2.0", "x86_64-linux-gnu"),
        model_id("-O3", "gcc12.2.0", "x86_64-linux-gnu"),
        model_id("-O2", "gcc13.1.0", "x86_64-linux-gnu"),
        model_id("-O2", "gcc12.2.0", "aarch64-linux-gnu"),
    }
    assert len(ids) == 4
    assert model_of(pack(CostTable(0x42001000, {4: 7}), "some-id", b"program")) == "some-id"


def test_flags_name_no_folder_of_this_machine() -> None:
    tools = Toolchain("g++", "g++ 12.2.0", "gcc12.2.0", False, "x86_64-linux-gnu")
    assert "/" not in tools.core_flag_text and "trace-pc" in tools.core_flag_text


def test_uncosted_imports_are_found(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.cpp", tmp_path / "bad.cpp"
    good.write_text(
        "#include <cstring>\nnamespace hal { int f(); }\nint g(char* p) { memset(p, hal::f(), 9999); return 1; }\n"
    )
    bad.write_text('#include <cmath>\n#include <cstdio>\nfloat f(float x) { std::puts("x"); return std::sin(x); }\n')
    tools = toolchain()
    for source in (good, bad):
        target = source.with_suffix(".o")
        subprocess.run([tools.cxx, *tools.core_flags, "-c", str(source), "-o", str(target)], check=True, timeout=60)
    assert check_imports.uncosted([good.with_suffix(".o")]) == {}
    assert check_imports.uncosted([good.with_suffix(".o"), bad.with_suffix(".o")]) == {
        "sinf": {"bad.o"},
        "puts": {"bad.o"},
    }
