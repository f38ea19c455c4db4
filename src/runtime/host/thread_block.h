#pragma once
// What the host keeps for one guest thread. GS points at it for as long as the thread lives.
//
// One system call on its way through the door:
//
//   guest  --jmp/SIGSYS-->  cairn_entry --fast--> syscall --> guest
//                               |
//                               +--slow--> registers into the block, host stack
//                                          dispatch() --> the handler's `before`
//                                               |
//                      Action::kTail            |  Action::kDone
//                 guest stack, one syscall      |
//                               |               |
//                          handler's `after`    |
//                               +-------+-------+
//                                       v
//                              registers from the block --> guest
//
// A signal can come at any instruction of this. Guest handlers never run on top of host frames, so
// front.cc turns every such moment into one at the guest's boundary: the call not yet made (at the
// syscall instruction) or made (behind it), with the registers of the block. For that a `before` may
// be run again at any time, and an `after` runs exactly once.

#include <cstddef>
#include <cstdint>

#include "abi/journal.h"
#include "abi/link.h"
#include "abi/park.h"
#include "runtime/host/block_offsets.h"
#include "runtime/host/kernel_types.h"

namespace cairn::runtime {

enum class Action : std::uint64_t {
  kDone = ACTION_DONE,            // result is set, nothing more to do
  kTail = ACTION_TAIL,            // make the call in `tail`, then `post` if there is one
  kSigreturn = ACTION_SIGRETURN,  // rt_sigreturn from the frame at tail.args[0]
  kClone = ACTION_CLONE,          // like kTail, and a child appears
  kRetry = ACTION_RETRY,          // back to the guest's call site, the call not made
};

struct ThreadBlock;
struct Filter;      // handlers/seccomp.cc
struct HeldSignal;  // intercept/held_signals.cc
using PostHandler = std::int64_t (*)(ThreadBlock*, std::int64_t result);
// A `post` returns this where the call is to be dispatched once more.
inline constexpr std::int64_t kAgain = POST_AGAIN;

struct TailCall {
  std::uint64_t number;
  std::uint64_t args[6];
};

// The signal actions of a process as the guest set them (CLONE_SIGHAND's unit).
struct Sighand {
  std::uint32_t sequence;  // odd while being written
  std::uint32_t lock;
  abi::GuestSigaction actions[65];
};

// Never blocked in the kernel: a blocked SIGSYS would kill at the next trapped call, and a park
// request must arrive. The guest's own use of them is kept up in the block.
inline constexpr std::uint64_t kHostSignals = signal_bit(kSigsys) | signal_bit(abi::kParkSignal);

inline constexpr std::size_t kPathRoom = 4096 + 64;  // PATH_MAX, and ids that are longer

inline constexpr std::uint32_t kMostChained = 4;  // layers behind one call

// What belongs to the thread group. A vfork child has its own although it shares all memory.
struct Process {
  std::int32_t real_pid;
  std::int32_t virtual_pid;
  std::int32_t slot;
  std::int32_t parent_slot;
  HeldSignal* held;
  std::uint32_t held_count, held_room, held_lock;
  const char* unsavable;  // why not, or nullptr; children and programs started by exec inherit it
  const char* shares;     // what of its parent's, so that it cannot be saved until it execs
  // The fallback's filter needs it (without CAP_SYS_ADMIN); the guest has not asked for it.
  bool no_new_privs_is_ours;
};

struct ThreadBlock {
  ThreadBlock* self;
  std::uint64_t host_stack;
  std::uint64_t return_address;
  std::uint64_t guest_sp;
  std::uint64_t rax, rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12, r13, r14, r15, flags;
  std::int64_t result;
  TailCall tail;
  PostHandler post;
  std::uint64_t deferred;       // 1: exit through restore_mask; a signal waits in deferred_info
  ThreadBlock* child;           // of the clone under way
  std::uint64_t vdso_function;  // Slot of the vDSO function under way
  std::uint64_t vdso_saved[10];

  // From here on entry.S knows nothing.
  std::int32_t real_tid;
  std::int32_t virtual_tid;
  Sighand* sighand;
  Process* process;

  Filter* filters;       // the guest's own seccomp filters, newest first
  std::uint32_t strict;  // ... or its strict mode

  std::uint64_t guest_mask;  // blocked signals as the guest sees them; the kernel's mask is this
                             // without kHostSignals, except inside sigsuspend and its like
  std::uint64_t exit_mask;   // the kernel's mask to set on the way out if `deferred`
  std::uint64_t deferred_signal;       // 0: only the mask
  KernelSiginfo deferred_info;
  std::uint32_t kicked;          // our own SIGSYS for the deferred signal is on its way
  std::uint32_t in_front;        // the front handler runs
  std::uint32_t faults_blocked;  // ... and a copy must not fault
  std::uint64_t waited_set;  // host-owned signals that a sigtimedwait under way waits for

  std::uint64_t altstack_pointer;
  std::uint64_t altstack_size;
  std::uint32_t altstack_flags;

  std::uint64_t fs_base;  // while parked or about to be restored
  std::uint64_t robust_list;
  std::uint64_t robust_list_bytes;
  std::uint64_t clear_child_tid;
  std::uint64_t rseq_address;
  std::uint32_t rseq_bytes;
  std::uint32_t rseq_signature;

  abi::InterruptedCall call;           // its times, filled in by `before`
  abi::InterruptedCall interrupted;    // valid: the call at the boundary is issued anew
  PostHandler resumed_post;            // of the call made anew: what runs before it counts as over
  PostHandler whole_post;              // of a call that is made as a whole once its socket is ready
  std::uint32_t polled;                // revents of its socket, if that was polled for it
  std::uint32_t wide_mask;  // blocked until it is back in the kernel: what it blocks, too
  std::int64_t cpu_clock_offset_ns;
  std::int64_t user_time_offset_ns, system_time_offset_ns;  // RUSAGE_THREAD

  std::uint64_t wait_mask;         // the guest's mask for the time of a sigsuspend, ppoll ...
  std::uint32_t has_wait_mask;
  std::uint64_t mask_argument[2];  // what a `before` passes to the kernel in place of the guest's
  std::uint64_t time_argument[4];
  std::uint64_t scratch[64];
  std::uint32_t deferring;     // by this thread checkpoints are put off so often,
  std::int32_t deferring_in;   // if it is in this process: a fork's child does not put them off
  PostHandler chained[kMostChained];      // what `post` stands for where two handlers look at one call
  std::uint32_t chained_count;
  std::uint64_t id_argument[256];  // the guest's structures with the kernel's ids in them
  alignas(16) unsigned char return_frame[512];

  std::uint64_t sigstack;
  std::uint64_t sigstack_bytes;
  KernelUcontext* parked_context;  // while parked
  std::uint32_t parked;             // the freeze_word it is parked for, else 0
  std::uint32_t park_word;         // futex: 1 while the server wants a thread syscall run
  abi::LinkSyscall* park_calls;
  std::uint64_t park_call_count;
  std::uint32_t in_use;
  std::uint32_t vfork_child;
  std::uint32_t traced_from_exec;  // 1: of a child of vfork that has asked to be traced
  std::int32_t birth_slot;  // of a fork under way: the child's in the job segment, -1: none
  std::uint32_t ended;  // restore: 1 + exit status of a first thread that is not to run any more
  char path_argument[2][kPathRoom];  // paths as the kernel is to see them,
  char path_text[kPathRoom];         // and one as the guest wrote it
  char journal_path[2][kPathRoom];   // for the journal of files
  abi::JournalRecord* noted[2];      // of the call under way, to be settled behind it
  Sighand own_sighand;
  Process own_process;
};

static_assert(offsetof(ThreadBlock, host_stack) == TB_HOST_STACK);
static_assert(offsetof(ThreadBlock, return_address) == TB_RETURN);
static_assert(offsetof(ThreadBlock, guest_sp) == TB_GUEST_SP);
static_assert(offsetof(ThreadBlock, rax) == TB_RAX);
static_assert(offsetof(ThreadBlock, r9) == TB_R9);
static_assert(offsetof(ThreadBlock, rbx) == TB_RBX);
static_assert(offsetof(ThreadBlock, flags) == TB_FLAGS);
static_assert(offsetof(ThreadBlock, result) == TB_RESULT);
static_assert(offsetof(ThreadBlock, tail) == TB_TAIL);
static_assert(offsetof(ThreadBlock, post) == TB_POST);
static_assert(offsetof(ThreadBlock, deferred) == TB_DEFERRED);
static_assert(offsetof(ThreadBlock, child) == TB_CHILD);
static_assert(offsetof(ThreadBlock, vdso_function) == TB_VDSO_FUNCTION);
static_assert(offsetof(ThreadBlock, vdso_saved) == TB_VDSO_SAVED);

inline ThreadBlock* current() {
  ThreadBlock* block;
  asm volatile("mov %%gs:0, %0" : "=r"(block));  // volatile: not before set_gs
  return block;
}

// Blocks are recycled and stay mapped. allocate returns nullptr when the arena is full.
ThreadBlock* allocate_block();
void release_block(ThreadBlock* block);
// After fork: only the caller's block is in use.
void forget_other_blocks(ThreadBlock* mine);
// Behind the last block's memory.
std::uint64_t block_memory_end();
// Blocks 0 .. block_count()-1; look at in_use.
std::uint32_t block_count();
ThreadBlock* block_at(std::uint32_t index);

}  // namespace cairn::runtime
