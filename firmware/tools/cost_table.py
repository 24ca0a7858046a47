"""Makes the cost table of a linked host program: cycles for each basic block, by the return address of its hook call.

The program is disassembled once. From each hook call on, the instructions up to the next hook (or the end of the
function) belong to that hook; where the way forks without a hook in between, the dearer branch counts. What stands
before the first hook of a function is charged to that first hook. Single costs: instruction_cost.py.

usage: cost_table.py PROGRAM OUT [--model-seed TEXT]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import instruction_cost  # noqa: E402
from sim_flags import HOOK, toolchain  # noqa: E402

HEAD = struct.Struct("<8sIQ96s64s")
ENTRY = struct.Struct("<iHH")
MAGIC = b"K1COSTS\x01"
MOST = 0xFFFF

_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
_TARGET = re.compile(r"\b(?:0x)?([0-9a-f]+) <")
_X86_JUMP = re.compile(r"^(?:bnd )?j\w+$")
_ARM_JUMPS = {"b", "br", "cbz", "cbnz", "tbz", "tbnz"}


@dataclass
class Instruction:
    """One line of the disassembly; ``target`` is the address a direct branch names."""

    address: int
    mnemonic: str
    operands: str
    target: int | None = None
    hook: bool = False


@dataclass
class Block:
    """Instructions without a branch or hook inside. ``ends_in_hook``: its last one is a hook call."""

    cost: int = 0
    next: list[int] = field(default_factory=list)
    ends_in_hook: bool = False
    after_hook: int = 0


def disassemble(program: Path) -> Iterator[tuple[str, list[Instruction]]]:
    """The functions of a program, each with its instructions in order of address."""
    tool = shutil.which("objdump") or shutil.which("llvm-objdump")
    if tool is None:
        raise FileNotFoundError("no objdump: it comes with the compiler (Debian: binutils; macOS: Xcode tools)")
    command = [tool, "-d", "--no-show-raw-insn", str(program)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    name, body = "", []
    for line in text.splitlines():
        start = _FUNCTION.match(line)
        if start:
            if body:
                yield name, body
            name, body = start[2], []
            continue
        match = _LINE.match(line)
        if match:
            body.append(_instruction(int(match[1], 16), match[2], match[3]))
    if body:
        yield name, body


def _instruction(address: int, mnemonic: str, operands: str) -> Instruction:
    found = _TARGET.search(operands)
    target = int(found[1], 16) if found else None
    is_call = mnemonic.startswith("call") or mnemonic == "bl"
    hook = is_call and re.search(rf"<_?{HOOK}(@\w+)?>", operands) is not None
    return Instruction(address, mnemonic, operands, target, hook)


def block_costs(body: list[Instruction], cost: Callable[[str, str], int]) -> dict[int, int]:
    """Costs of one function by return address of its hook calls; empty when it has no hooks."""
    if not any(instruction.hook for instruction in body):
        return {}
    blocks = _blocks(body, cost)
    ways: dict[int, int] = {}
    costs = {
        block.after_hook: _way(block.after_hook, blocks, ways, set()) for block in blocks.values() if block.ends_in_hook
    }
    for hook, before in _before_first(body[0].address, blocks).items():
        costs[hook] += before
    return costs


def _blocks(body: list[Instruction], cost: Callable[[str, str], int]) -> dict[int, Block]:
    addresses = {instruction.address for instruction in body}
    leaders = {body[0].address}
    following = {a.address: b.address for a, b in zip(body, body[1:], strict=False)}
    for instruction in body:
        if _jumps(instruction) or instruction.hook:
            if instruction.address in following:
                leaders.add(following[instruction.address])
            if _jumps(instruction) and instruction.target in addresses:
                leaders.add(instruction.target)
    blocks: dict[int, Block] = {}
    block = Block()
    for instruction in body:
        if instruction.address in leaders:
            block = blocks[instruction.address] = Block()
        after = following.get(instruction.address)
        if instruction.hook:
            block.ends_in_hook, block.after_hook = True, after if after is not None else instruction.address
            continue
        block.cost += cost(instruction.mnemonic, instruction.operands)
        if _jumps(instruction) and instruction.target in addresses:
            block.next.append(instruction.target)
        if after in leaders and not _ends_way(instruction):
            block.next.append(after)
    return blocks


def _jumps(instruction: Instruction) -> bool:
    name = instruction.mnemonic
    return bool(_X86_JUMP.match(name)) or name in _ARM_JUMPS or name.startswith("b.")


def _ends_way(instruction: Instruction) -> bool:
    return instruction.mnemonic in ("jmp", "b", "br", "ret", "retq", "ud2", "brk", "hlt", "udf")


def _way(start: int, blocks: dict[int, Block], known: dict[int, int], open_: set[int]) -> int:
    """Cost of the dearest way from ``start`` to the next hook or the end; a loop without a hook counts once."""
    if start in known:
        return known[start]
    block = blocks.get(start)
    if block is None or start in open_:
        return 0
    open_.add(start)
    rest = 0 if block.ends_in_hook else max((_way(n, blocks, known, open_) for n in block.next), default=0)
    open_.discard(start)
    known[start] = block.cost + rest
    return known[start]


def _before_first(entry: int, blocks: dict[int, Block]) -> dict[int, int]:
    """Hooks that can come first in the function, with the cost of the way there."""
    first: dict[int, int] = {}
    reached = {entry: 0}
    waiting = [entry]
    while waiting:
        start = waiting.pop()
        block = blocks[start]
        so_far = reached[start] + block.cost
        if block.ends_in_hook:
            first[block.after_hook] = max(first.get(block.after_hook, 0), so_far)
            continue
        for following in block.next:
            if following not in reached:
                reached[following] = so_far
                waiting.append(following)
    return first


@dataclass
class CostTable:
    """Costs of a whole program.

    Attributes:
        anchor: address of the hook function, as linked.
        cycles: for each hook call, the distance of its return address from the anchor in bytes, to cycles.
    """

    anchor: int
    cycles: dict[int, int]


def table_of(program: Path, machine: str) -> CostTable:
    """Disassembles a program and charges every block.

    Raises:
        ValueError: the program has no hook function.
    """
    cost = instruction_cost.x86_cost if machine.startswith("x86_64") else instruction_cost.arm_cost
    anchor = None
    costs: dict[int, int] = {}
    for name, body in disassemble(program):
        if name.removeprefix("_") == HOOK.removeprefix("_") or name == HOOK:
            anchor = body[0].address
        costs.update(block_costs(body, cost))
    if anchor is None:
        raise ValueError(f"{program}: no function {HOOK}")
    return CostTable(anchor, {address - anchor: min(cycles, MOST) for address, cycles in sorted(costs.items())})


def model_id(seed: str, compiler_word: str, machine: str) -> str:
    """Compiler, machine, rules and a hash over those and the flags: equal ids may be compared, others never."""
    cpu = machine.split("-")[0]
    rules = (Path(__file__).parent / "instruction_cost.py").read_bytes() + Path(__file__).read_bytes()
    digest = hashlib.sha256(seed.encode() + compiler_word.encode() + machine.encode() + rules).hexdigest()
    return f"{compiler_word}-{cpu}-{instruction_cost.RULES}-{digest[:6]}"


def pack(table: CostTable, model: str, program: bytes) -> bytes:
    """The table as ``src/host/hook.cpp`` reads it."""
    digest = hashlib.sha256(program).hexdigest().encode()
    head = HEAD.pack(MAGIC, len(table.cycles), table.anchor, model.encode()[:95], digest)
    return head + b"".join(ENTRY.pack(offset, cycles, 0) for offset, cycles in table.cycles.items())


def model_of(table: bytes) -> str:
    """The cost model id in a packed table."""
    return HEAD.unpack_from(table)[3].split(b"\0", 1)[0].decode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    tools = toolchain()
    table = table_of(arguments.program, tools.machine)
    if not table.cycles:
        print(f"{arguments.program}: no hooks found, nothing could be charged", file=sys.stderr)
        return 1
    model = model_id(tools.core_flag_text, tools.word, tools.machine)
    new = arguments.out.with_suffix(".new")
    new.write_bytes(pack(table, model, arguments.program.read_bytes()))
    os.replace(new, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
