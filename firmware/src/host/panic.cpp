#include "host/panic.h"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <sys/ucontext.h>
#else
#include <ucontext.h>
#endif

#include "host/chip.h"
#include "host/console.h"
#include "host/hook.h"
#include "host/link.h"

namespace host {
namespace {

using hal::ResetReason;

char text[4096];
size_t length = 0;
volatile sig_atomic_t dying = 0;

struct Where {              // registers at the moment of death
    uintptr_t pc = 0;
    uintptr_t sp = 0;
    uintptr_t frame = 0;
};

__attribute__((format(printf, 1, 2))) void say(const char* format, ...) {
    va_list args;
    va_start(args, format);
    int n = std::vsnprintf(text + length, sizeof text - length, format, args);
    va_end(args);
    if (n > 0) length += static_cast<size_t>(n) < sizeof text - length ? static_cast<size_t>(n) : 0;
}

unsigned long low32(uintptr_t value) { return static_cast<unsigned long>(value & 0xFFFFFFFFu); }
unsigned long code32(uintptr_t pc) { return low32(as_linked(pc)); }

// Follows the chain of frame pointers inside the task's stack. The chain may be the very thing that is damaged:
// only aligned, rising addresses within the stack are followed.
void say_backtrace(const Where& where, const Task* task) {
    say("\r\n\r\nBacktrace: 0x%08lx:0x%08lx", code32(where.pc), low32(where.sp));
    uintptr_t low = task ? reinterpret_cast<uintptr_t>(task->stack.low) : 0;
    uintptr_t high = task ? reinterpret_cast<uintptr_t>(task->stack.high()) : 0;
    uintptr_t frame = where.frame;
    for (int depth = 0; depth < 16 && frame >= low && frame + 16 <= high && frame % 8 == 0; ++depth) {
        auto* words = reinterpret_cast<uintptr_t*>(frame);
        if (words[1] == 0) break;
        say(" 0x%08lx:0x%08lx", code32(words[1]), low32(frame + 16));
        if (words[0] <= frame) break;
        frame = words[0];
    }
    say("\r\n\r\n");
}

void say_farewell() { say("\r\n\r\nELF file SHA256: %.16s\r\n\r\nRebooting...\r\n", elf_sha256()); }

[[noreturn]] void leave(ResetReason reason) {
    console_print_at_once(text, length);
    frame_begin(Out::reset);
    frame_put(now_ns());
    frame_put(static_cast<uint8_t>(reason));
    frame_end();
    link_leave(0);
}

// A panic inside the panic handler: the chip would reset without a word more.
void begin_dying() {
    if (dying) {
        link_flush();
        frame_begin(Out::reset);
        frame_put(now_ns());
        frame_put(static_cast<uint8_t>(ResetReason::panic));
        frame_end();
        link_leave(0);
    }
    dying = 1;
    length = 0;
}

Where here() {
    Where where;
    where.frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    where.sp = where.frame;
    where.pc = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
    return where;
}

Where where_left(const Task& task) {     // a task that is not running now
    Where where;
    coro_where(task.coro, &where.pc, &where.sp, &where.frame);
    return where;
}

void say_abort(uintptr_t pc) { say("\r\nabort() was called at PC 0x%08lx on core %d", code32(pc), running_core()); }

// The register block, with what the host has under the chip's names.
void say_registers(uint8_t core, const Where& where, uintptr_t address, unsigned cause) {
    say("\r\nCore %2d register dump:\r\n", core);
    say("PC      : 0x%08lx  PS      : 0x00060030  A0      : 0x%08lx  A1      : 0x%08lx\r\n", code32(where.pc),
        low32(where.frame), low32(where.sp));
    say("EXCCAUSE: 0x%08x  EXCVADDR: 0x%08lx", cause, low32(address));
}

struct Exception {
    const char* name;
    unsigned cause;         // EXCCAUSE of the Xtensa core
};

Where registers_of(const ucontext_t& context) {
    Where where;
#if defined(__linux__) && defined(__x86_64__)
    where.pc = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RIP]);
    where.sp = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
    where.frame = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RBP]);
#elif defined(__linux__) && defined(__aarch64__)
    where.pc = context.uc_mcontext.pc;
    where.sp = context.uc_mcontext.sp;
    where.frame = context.uc_mcontext.regs[29];
#elif defined(__APPLE__) && defined(__x86_64__)
    where.pc = context.uc_mcontext->__ss.__rip;
    where.sp = context.uc_mcontext->__ss.__rsp;
    where.frame = context.uc_mcontext->__ss.__rbp;
#elif defined(__APPLE__) && defined(__aarch64__)
    where.pc = context.uc_mcontext->__ss.__pc;
    where.sp = context.uc_mcontext->__ss.__sp;
    where.frame = context.uc_mcontext->__ss.__fp;
#else
    (void)context;
#endif
    return where;
}

#if defined(__linux__) && defined(__aarch64__)
// The exception syndrome lies in a list of extra records behind the registers; bit 6 says write.
bool syndrome_says_store(const ucontext_t& context) {
    constexpr uint32_t kSyndrome = 0x45535201;
    const unsigned char* at = context.uc_mcontext.__reserved;
    const unsigned char* end = at + sizeof context.uc_mcontext.__reserved;
    while (at + 16 <= end) {
        uint32_t head[2];       // magic, size
        std::memcpy(head, at, sizeof head);
        if (head[0] == kSyndrome) return (at[8] & 0x40) != 0;
        if (head[0] == 0 || head[1] < 8) return false;
        at += head[1];
    }
    return false;
}
#endif

// Whether the faulting access was a store. Not known on every host: then it counts as a load.
bool was_store(const ucontext_t& context) {
#if defined(__linux__) && defined(__x86_64__)
    return (context.uc_mcontext.gregs[REG_ERR] & 2) != 0;
#elif defined(__linux__) && defined(__aarch64__)
    return syndrome_says_store(context);
#elif defined(__APPLE__) && defined(__x86_64__)
    return (context.uc_mcontext->__es.__err & 2) != 0;
#elif defined(__APPLE__) && defined(__aarch64__)
    return (context.uc_mcontext->__es.__esr & 0x40) != 0;
#else
    (void)context;
    return false;
#endif
}

// A fault inside the C library (a copy from a bad pointer) is its caller's: that address is the same in every run.
void leave_library(Where* where, const Task& task) {
    auto low = reinterpret_cast<uintptr_t>(task.stack.low);
    auto high = reinterpret_cast<uintptr_t>(task.stack.high());
    if (is_ours(where->pc)) return;
    if (where->frame < low || where->frame + 16 > high || where->frame % 8 != 0) return;
    auto* words = reinterpret_cast<uintptr_t*>(where->frame);
    where->pc = words[1];
    where->sp = where->frame + 16;
    where->frame = words[0];
}

Exception exception_of(int signal, uintptr_t address, const Where& where, const ucontext_t& context) {
    switch (signal) {
        case SIGFPE: return {"IntegerDivideByZero", 6};
        case SIGILL: return {"IllegalInstruction", 0};
        case SIGTRAP: return {"Unhandled debug exception", 1};
        default: break;
    }
    if (address == where.pc) return {"InstrFetchProhibited", 20};
    if (was_store(context)) return {"StoreProhibited", 29};
    return {"LoadProhibited", 28};
}

void on_signal(int signal, siginfo_t* info, void* raw) {
    const Task* task = running_task();
    const auto& context = *static_cast<const ucontext_t*>(raw);
    Where where = registers_of(context);
    auto address = signal == SIGSEGV || signal == SIGBUS ? reinterpret_cast<uintptr_t>(info->si_addr) : 0;
    if (task == nullptr) {      // not the firmware: the model itself is broken, and says so to the harness
        std::fprintf(stderr, "signal %d outside of the firmware at %#lx, address %#lx\n", signal,
                     static_cast<unsigned long>(where.pc), static_cast<unsigned long>(address));
        _exit(71);
    }
    begin_dying();
    if (signal == SIGABRT) {
        leave_library(&where, *task);
        say_abort(where.pc);
    } else if (stack_guards(task->stack, reinterpret_cast<void*>(address)) && address != 0) {
        say("\r\n***ERROR*** A stack overflow in task %.15s has been detected.", task->name);
    } else {
        Exception e = exception_of(signal, address, where, context);
        if (address != where.pc) leave_library(&where, *task);
        say("Guru Meditation Error: Core %2d panic'ed (%s). Exception was unhandled.\r\n", running_core(), e.name);
        say_registers(running_core(), where, address, e.cause);
    }
    say_backtrace(where, task);
    say_farewell();
    leave(ResetReason::panic);
}

[[noreturn]] void die(ResetReason reason, const Where& where, const Task* task = running_task()) {
    say_backtrace(where, task);
    say_farewell();
    leave(reason);
}

}  // namespace

void panic_install() {
    constexpr size_t kBytes = 128 << 10;
    stack_t alternative{};
    alternative.ss_sp = map_at(0, kBytes, true);
    alternative.ss_size = kBytes;
    if (alternative.ss_sp == nullptr || sigaltstack(&alternative, nullptr) != 0) return;
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;   // a second fault ends in begin_dying()
    sigemptyset(&action.sa_mask);
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigaction(signal, &action, nullptr);
}

void panic_abort(const char* what) {
    Where where = here();
    begin_dying();
    if (what != nullptr && what[0] != 0) say("\r\n%.200s\r\n", what);
    say_abort(where.pc);
    die(ResetReason::panic, where);
}

void panic_stack_overflow(const Task& task) {
    Where where = here();
    begin_dying();
    say("\r\n***ERROR*** A stack overflow in task %.15s has been detected.", task.name);
    die(ResetReason::panic, where);
}

void panic_task_returned(const Task& task) {
    Where where = here();
    begin_dying();
    say("\r\nFreeRTOS: FreeRTOS Task \"%.15s\" should not return, Aborting now!\r\n", task.name);
    say_abort(where.pc);
    die(ResetReason::panic, where);
}

void panic_corrupt_heap(const char* end, const void* at) {
    Where where = here();
    begin_dying();
    say("\r\nCORRUPT HEAP: Bad %s at 0x%08lx\r\n", end, low32(reinterpret_cast<uintptr_t>(at)));
    say("\r\nassert failed: multi_heap_free multi_heap_poisoning.c:253 (head != NULL)");
    die(ResetReason::panic, where);
}

void panic_task_watchdog(const Task* core1, const Task* core0) {
    Where where = where_left(*core0);
    begin_dying();
    auto ms = static_cast<unsigned long>(now_ns() / 1000000);
    say("\r\nE (%lu) task_wdt: Task watchdog got triggered. The following tasks did not reset the watchdog in time:\r\n", ms);
    say("E (%lu) task_wdt:  - IDLE (CPU 0)\r\n", ms);
    say("E (%lu) task_wdt: Tasks currently running:\r\n", ms);
    say("E (%lu) task_wdt: CPU 0: %.15s\r\n", ms, core0->name);
    say("E (%lu) task_wdt: CPU 1: %.15s\r\n", ms, core1 ? core1->name : "IDLE");
    say("E (%lu) task_wdt: Aborting.\r\n", ms);
    say_abort(where.pc);
    die(ResetReason::task_watchdog, where, core0);
}

void panic_interrupt_watchdog(uint8_t core, const Task& task) {
    Where where = where_left(task);
    begin_dying();
    say("Guru Meditation Error: Core %2d panic'ed (Interrupt wdt timeout on CPU%d). \r\n", core, core);
    say_registers(core, where, 0, 5);
    die(ResetReason::int_watchdog, where, &task);
}

void reset_chip(ResetReason reason) {
    console_advance(now());                  // what had left the transmit buffer by now was heard
    frame_begin(Out::reset);
    frame_put(now_ns());
    frame_put(static_cast<uint8_t>(reason));
    frame_end();
    link_leave(0);
}

}  // namespace host
