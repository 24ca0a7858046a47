"""What one instruction of the host program is charged, in cycles of the modelled chip (240 MHz).

The modelled core is an in-order Xtensa LX7 with a single-precision FPU: simple operations issue in one cycle, loads and
stores too, a taken branch refills the pipeline; float division and square root are instruction sequences; double
precision is done in software. The figures are rounded estimates from the instruction set's public description and the
lengths of the usual soft-float routines; they are called `modelled` until they are fitted on a board.
"""

from __future__ import annotations

import re

RULES = "r1"  # raise when a figure or rule changes: it is part of the cost model id

ALU = 1
MEMORY = 1
BRANCH = 2
CALL = 3
MULTIPLY = 2
DIVIDE = 10
DIVIDE_64 = 60
FLOAT = 2
FLOAT_DIVIDE = 20
FLOAT_ROOT = 25
CONVERT = 3
DOUBLE = 40
DOUBLE_MULTIPLY = 50
DOUBLE_DIVIDE = 250
DOUBLE_ROOT = 400
DOUBLE_CONVERT = 30

_X86_FLOAT = {
    "add": (FLOAT, DOUBLE), "sub": (FLOAT, DOUBLE), "mul": (FLOAT, DOUBLE_MULTIPLY),
    "div": (FLOAT_DIVIDE, DOUBLE_DIVIDE), "sqrt": (FLOAT_ROOT, DOUBLE_ROOT), "min": (FLOAT, DOUBLE_CONVERT),
    "max": (FLOAT, DOUBLE_CONVERT), "comi": (FLOAT, DOUBLE_CONVERT), "ucomi": (FLOAT, DOUBLE_CONVERT),
    "round": (CONVERT, DOUBLE),
}  # fmt: skip
_X86_FLOAT_NAME = re.compile(r"v?(add|sub|mul|div|sqrt|min|max|comi|ucomi|round)([sp])([sd])$")
_X86_FRAME_SLOT = re.compile(r"-?(0x)?[0-9a-f]*\(%r[bs]p\)")
_X86_PREFIXES = ("lock ", "rep ", "repz ", "repnz ", "notrack ", "bnd ", "cs ", "data16 ")
_X86_LOGIC = ("add", "sub", "and", "or", "xor", "inc", "dec", "not", "neg", "shl", "shr", "sar", "sal", "rol", "ror")
_X86_64_BIT = re.compile(r"%r(?:[a-ds][xipl]|[bs]p|\d+)$")


def x86_cost(mnemonic: str, operands: str) -> int:
    """Cycles for one x86-64 instruction in AT&T syntax."""
    text = mnemonic + " "
    while text.startswith(_X86_PREFIXES):
        rest, _, operands = operands.partition(" ")
        text = rest + " "
    name = text.strip()
    if name.startswith(("nop", "endbr")) or operands == "%ax,%ax" or not name:
        return 0
    if name.startswith(("call", "ret")):
        return CALL
    if name.startswith("j"):
        return BRANCH
    if name.startswith(("push", "pop", "leave")):
        return MEMORY
    memory = MEMORY if "(" in operands and not name.startswith("lea") else 0
    cycles = _x86_float(name, operands, memory)
    return _x86_integer(name, operands, memory) if cycles is None else cycles


def _x86_float(name: str, operands: str, memory: int) -> int | None:
    if memory and "%xmm" in operands and _X86_FRAME_SLOT.search(operands):
        memory = 0  # spilled because of the hook, which the chip does not have: there it stays in a register
        if name.startswith(("mov", "vmov")):
            return 0
    match = _X86_FLOAT_NAME.match(name)
    if match:
        single, double = _X86_FLOAT[match[1]]
        lanes = (4 if match[3] == "s" else 2) if match[2] == "p" else 1
        return (single if match[3] == "s" else double) * lanes + memory
    if name.startswith(("cvt", "vcvt")):
        return (DOUBLE_CONVERT if "sd" in name else CONVERT) + memory
    return None


def _x86_integer(name: str, operands: str, memory: int) -> int:
    wide = name.endswith("q") or bool(_X86_64_BIT.search(operands))
    if name.startswith(("imul", "mul")):
        return MULTIPLY + memory
    if name.startswith(("div", "idiv")):
        return (DIVIDE_64 if wide else DIVIDE) + memory
    if name.startswith(("mov", "vmov", "cmp", "test")) and memory:
        return memory + (ALU if name.startswith(("cmp", "test")) else 0)
    if memory and operands.rstrip().endswith(")") and name.startswith(_X86_LOGIC):
        return ALU + 2 * memory  # read, change, write back
    return ALU + memory


_ARM_FLOAT = {
    "fadd": (FLOAT, DOUBLE), "fsub": (FLOAT, DOUBLE), "fmul": (FLOAT, DOUBLE_MULTIPLY),
    "fnmul": (FLOAT, DOUBLE_MULTIPLY),
    "fmadd": (2 * FLOAT, 2 * DOUBLE), "fmsub": (2 * FLOAT, 2 * DOUBLE), "fdiv": (FLOAT_DIVIDE, DOUBLE_DIVIDE),
    "fsqrt": (FLOAT_ROOT, DOUBLE_ROOT), "fcmp": (FLOAT, DOUBLE_CONVERT), "fcmpe": (FLOAT, DOUBLE_CONVERT),
    "fmin": (FLOAT, DOUBLE_CONVERT), "fmax": (FLOAT, DOUBLE_CONVERT), "fminnm": (FLOAT, DOUBLE_CONVERT),
    "fmaxnm": (FLOAT, DOUBLE_CONVERT), "scvtf": (CONVERT, DOUBLE_CONVERT), "ucvtf": (CONVERT, DOUBLE_CONVERT),
}  # fmt: skip
_ARM_DOUBLE = re.compile(r"\bd\d+\b")
_ARM_FLOAT_REGISTER = re.compile(r"^[sdq]\d+\b")


def arm_cost(mnemonic: str, operands: str) -> int:
    """Cycles for one AArch64 instruction."""
    if mnemonic in ("nop", "bti", "hint"):
        return 0
    if mnemonic in ("bl", "blr", "ret"):
        return CALL
    if mnemonic in ("b", "br", "cbz", "cbnz", "tbz", "tbnz") or mnemonic.startswith("b."):
        return BRANCH
    double = bool(_ARM_DOUBLE.search(operands))
    if mnemonic in _ARM_FLOAT:
        return _ARM_FLOAT[mnemonic][double]
    if mnemonic.startswith("fcvt"):
        return DOUBLE_CONVERT if double else CONVERT
    if mnemonic in ("sdiv", "udiv"):
        return DIVIDE_64 if operands.startswith("x") else DIVIDE
    if mnemonic in ("mul", "madd", "msub", "mneg", "smull", "umull", "smulh", "umulh", "smaddl", "umaddl"):
        return MULTIPLY
    if mnemonic.startswith(("ldp", "stp")):
        return 0 if _frame_slot(operands) else 2 * MEMORY
    if mnemonic.startswith(("ldr", "str", "ldur", "stur", "ldx", "stx", "ldar", "stlr")):
        return 0 if _frame_slot(operands) else MEMORY
    return ALU


def _frame_slot(operands: str) -> bool:
    return bool(_ARM_FLOAT_REGISTER.match(operands)) and ("[sp" in operands or "[x29" in operands)
