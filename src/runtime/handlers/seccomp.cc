// The kernel would put the runtime's own calls through a guest's filter as well: a filter that kills
// what it does not list would kill the process at its first signal. So the kernel never sees it; the
// door runs it, in front of everything else, with the numbers and addresses that the guest sees.
//
// While a thread has a filter no call takes the fast path. The agent reads filters where they lie
// (abi/link.h), and gives them back before anything of a restored guest runs.

#include "runtime/handlers/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "runtime/handlers/process.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/site_map.h"
#include "sys/syscall.h"

namespace cairn::runtime {

// Newest first, as the kernel's; never freed, since threads and children share them.
struct Filter {
  Filter* earlier;
  std::uint64_t id;
  std::uint32_t length;
  std::uint32_t reserved;
  sock_filter* code() { return reinterpret_cast<sock_filter*>(this + 1); }
};

static_assert(sizeof(Filter) == sizeof(abi::LinkFilter));

namespace {

constexpr std::uint32_t kMemoryWords = 16;  // BPF_MEMWORDS
constexpr std::uint64_t kTotalLength = 32768;  // the kernel's MAX_INSNS_PER_PATH
constexpr std::uint64_t kOverhead = 4;         // ... counts so much for each filter

// May this instruction stand at `at` of `length`? As the kernel's seccomp_check_filter.
bool instruction_ok(const sock_filter& one, std::uint32_t at, std::uint32_t length) {
  std::uint32_t rest = length - at - 1;
  switch (one.code) {
    case BPF_LD | BPF_W | BPF_ABS: return one.k < sizeof(seccomp_data) && one.k % 4 == 0;
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_ALU | BPF_NEG: return true;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX: return one.k < kMemoryWords;
    case BPF_JMP | BPF_JA: return one.k < rest;
    default: break;
  }
  std::uint32_t operation = BPF_OP(one.code);
  bool known = (one.code & ~(0xf0U | BPF_X | 7U)) == 0;
  if (BPF_CLASS(one.code) == BPF_JMP)
    return known && operation >= BPF_JEQ && operation <= BPF_JSET && one.jt < rest && one.jf < rest;
  if (BPF_CLASS(one.code) != BPF_ALU || !known) return false;
  bool constant = BPF_SRC(one.code) == BPF_K;
  if (operation == BPF_DIV) return !constant || one.k != 0;
  if (operation == BPF_LSH || operation == BPF_RSH) return !constant || one.k < 32;
  return operation <= BPF_AND || operation == BPF_XOR;
}

bool program_ok(const sock_filter* code, std::uint32_t length) {
  for (std::uint32_t i = 0; i < length; ++i)
    if (!instruction_ok(code[i], i, length)) return false;
  return BPF_CLASS(code[length - 1].code) == BPF_RET;
}

std::uint32_t compute(std::uint32_t operation, std::uint32_t a, std::uint32_t by, bool* stop) {
  switch (operation) {
    case BPF_ADD: return a + by;
    case BPF_SUB: return a - by;
    case BPF_MUL: return a * by;
    case BPF_DIV: *stop = by == 0; return by == 0 ? 0 : a / by;
    case BPF_OR: return a | by;
    case BPF_AND: return a & by;
    case BPF_XOR: return a ^ by;
    case BPF_LSH: return by < 32 ? a << by : 0;
    case BPF_RSH: return by < 32 ? a >> by : 0;
    default: return 0U - a;  // BPF_NEG
  }
}

bool jumps(std::uint32_t operation, std::uint32_t a, std::uint32_t with) {
  switch (operation) {
    case BPF_JEQ: return a == with;
    case BPF_JGT: return a > with;
    case BPF_JGE: return a >= with;
    default: return (a & with) != 0;  // BPF_JSET
  }
}

std::uint32_t run(Filter* filter, const seccomp_data& data) {
  const sock_filter* one = filter->code();
  std::uint32_t a = 0, x = 0, memory[kMemoryWords] = {};
  bool stop = false;
  for (;; ++one) {
    std::uint32_t operand = (one->code & BPF_X) != 0 ? x : one->k;
    switch (one->code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&a, reinterpret_cast<const char*>(&data) + one->k, sizeof(a));
        continue;
      case BPF_LD | BPF_W | BPF_LEN: a = sizeof(data); continue;
      case BPF_LDX | BPF_W | BPF_LEN: x = sizeof(data); continue;
      case BPF_LD | BPF_IMM: a = one->k; continue;
      case BPF_LDX | BPF_IMM: x = one->k; continue;
      case BPF_LD | BPF_MEM: a = memory[one->k]; continue;
      case BPF_LDX | BPF_MEM: x = memory[one->k]; continue;
      case BPF_ST: memory[one->k] = a; continue;
      case BPF_STX: memory[one->k] = x; continue;
      case BPF_MISC | BPF_TAX: x = a; continue;
      case BPF_MISC | BPF_TXA: a = x; continue;
      case BPF_RET | BPF_K: return one->k;
      case BPF_RET | BPF_A: return a;
      case BPF_JMP | BPF_JA: one += one->k; continue;
      default: break;
    }
    if (BPF_CLASS(one->code) == BPF_JMP)
      one += jumps(BPF_OP(one->code), a, operand) ? one->jt : one->jf;
    else
      a = compute(BPF_OP(one->code), a, operand, &stop);
    if (stop) return 0;  // a division by zero ends the program with 0: SECCOMP_RET_KILL_THREAD
  }
}

seccomp_data call_of(const ThreadBlock* t) {
  return {static_cast<int>(t->rax), AUDIT_ARCH_X86_64, resume_point(t->return_address),
          {t->rdi, t->rsi, t->rdx, t->r10, t->r8, t->r9}};
}

// The answer with the highest precedence, of the newest that gives it.
std::uint32_t answer(Filter* newest, const seccomp_data& data) {
  std::uint32_t best = SECCOMP_RET_ALLOW;
  for (Filter* filter = newest; filter != nullptr; filter = filter->earlier) {
    std::uint32_t one = run(filter, data);
    if (static_cast<std::int32_t>(one & SECCOMP_RET_ACTION_FULL) <
        static_cast<std::int32_t>(best & SECCOMP_RET_ACTION_FULL))
      best = one;
  }
  return best;
}

[[noreturn]] void kill_process(const ThreadBlock* t, int signal) {
  KernelSigaction plain{};
  (void)sys::call(__NR_rt_sigaction, static_cast<std::uint64_t>(signal), sys::address(&plain), 0, 8);
  for (;;)
    (void)sys::call(__NR_tgkill, static_cast<std::uint64_t>(t->process->real_pid),
                    static_cast<std::uint64_t>(t->real_tid), static_cast<std::uint64_t>(signal));
}

Action kill_thread(ThreadBlock* t, int signal) {
  if (thread_count(t->process) > 1) return end_thread(t, signal);
  kill_process(t, signal);
}

// SIGSYS at the boundary behind the call, with the number still in rax.
Action trap(ThreadBlock* t, const seccomp_data& data, std::uint32_t value) {
  block_signals(t);
  if (t->deferred != 0) return Action::kRetry;  // a signal came first
  KernelSiginfo& info = t->deferred_info;
  memset(&info, 0, sizeof(info));
  info.signal = kSigsys;
  info.error = static_cast<std::int32_t>(value);
  info.code = kSysSeccomp;
  info.sys.call_address = data.instruction_pointer;
  info.sys.number = data.nr;
  info.sys.arch = data.arch;
  t->deferred = 1;
  t->deferred_signal = kSigsys;
  return done(t, static_cast<std::int64_t>(t->rax));
}

bool privileged() {
  constexpr std::uint32_t kVersion3 = 0x20080522, kSysAdmin = 21;
  if (guest_has_no_new_privs(g_process)) return true;
  std::uint32_t header[2] = {kVersion3, 0};
  std::uint32_t sets[6] = {};
  return sys::call(__NR_capget, sys::address(header), sys::address(sets)).ok() &&
         (sets[0] & (1U << kSysAdmin)) != 0;
}

Filter* make_filter(std::uint32_t length) {
  auto at = map_host(sizeof(Filter) + length * sizeof(sock_filter));
  if (!at.ok()) return nullptr;
  auto* filter = reinterpret_cast<Filter*>(at.value());
  filter->length = length;
  filter->id = at.value();
  return filter;
}

void discard(Filter* filter) {
  unmap_host(sys::address(filter), sizeof(Filter) + filter->length * sizeof(sock_filter));
}

void hold_to(ThreadBlock* t, Filter* filter) {
  all_slow();
  __atomic_store_n(&t->filters, filter, __ATOMIC_RELEASE);
}

bool descends_from(Filter* filter, const Filter* ancestor) {
  for (; filter != nullptr; filter = filter->earlier)
    if (filter == ancestor) return true;
  return ancestor == nullptr;
}

// SECCOMP_FILTER_FLAG_TSYNC: the first thread whose filters are not among the caller's, or 0.
std::int32_t diverging_thread(const ThreadBlock* t) {
  for (std::uint32_t i = 0; i < block_count(); ++i) {
    const ThreadBlock* other = block_at(i);
    bool mine = other->in_use != 0 && other->process == t->process && other != t;
    if (mine && (other->strict != 0 || !descends_from(t->filters, other->filters)))
      return other->virtual_tid;
  }
  return 0;
}

std::int64_t add_filter(ThreadBlock* t, std::uint64_t flags, std::uint64_t program) {
  constexpr std::uint64_t kKnown = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
                                   SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  if ((flags & ~kKnown) != 0 || t->strict != 0) return -kEINVAL;  // no listeners
  sock_fprog given{};
  if (copy_from_guest(&given, program, sizeof(given)) != 0) return -kEFAULT;
  if (given.len == 0 || given.len > BPF_MAXINSNS) return -kEINVAL;
  if (!privileged()) return -kEACCES;
  std::uint64_t total = given.len;
  for (Filter* filter = t->filters; filter != nullptr; filter = filter->earlier)
    total += filter->length + kOverhead;
  if (total > kTotalLength) return -kENOMEM;
  Filter* filter = make_filter(given.len);
  if (filter == nullptr) return -kENOMEM;
  std::int64_t failed = copy_from_guest(filter->code(), sys::address(given.filter),
                                        given.len * sizeof(sock_filter));
  if (failed == 0 && !program_ok(filter->code(), given.len)) failed = -kEINVAL;
  bool everyone = (flags & SECCOMP_FILTER_FLAG_TSYNC) != 0;
  std::int32_t diverging = failed == 0 && everyone ? diverging_thread(t) : 0;
  if (diverging != 0)
    failed = (flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH) != 0 ? -kESRCH : diverging;
  if (failed != 0) {
    discard(filter);
    return failed;
  }
  filter->earlier = t->filters;
  for (std::uint32_t i = 0; everyone && i < block_count(); ++i)
    if (block_at(i)->in_use != 0 && block_at(i)->process == t->process) hold_to(block_at(i), filter);
  hold_to(t, filter);
  return 0;
}

std::int64_t be_strict(ThreadBlock* t) {
  if (t->filters != nullptr) return -kEINVAL;
  all_slow();
  t->strict = 1;
  return 0;
}

Action seccomp(ThreadBlock* t) {
  auto operation = static_cast<std::uint32_t>(t->rdi);
  auto flags = static_cast<std::uint32_t>(t->rsi);
  switch (operation) {
    case SECCOMP_SET_MODE_STRICT: return done(t, flags != 0 || t->rdx != 0 ? -kEINVAL : be_strict(t));
    case SECCOMP_SET_MODE_FILTER: return done(t, add_filter(t, flags, t->rdx));
    case SECCOMP_GET_ACTION_AVAIL: return pass(t);
    default: return done(t, -kEINVAL);  // SECCOMP_GET_NOTIF_SIZES: there are no listeners
  }
}

bool strict_allows(std::uint64_t number) {
  return number == __NR_read || number == __NR_write || number == __NR_exit ||
         number == __NR_rt_sigreturn;
}

std::int64_t after_restrict_self(ThreadBlock* t, std::int64_t result) {
  if (result != 0) return result;
  t->process->unsavable = kLandlocked;
  mark_unsupported(t->process, kLandlocked);
  return result;
}

Action landlock_restrict_self(ThreadBlock* t) { return pass(t, after_restrict_self); }

}  // namespace

bool stopped_by_filter(ThreadBlock* t, Action* action) {
  if (t->strict != 0) {
    if (strict_allows(t->rax)) return false;
    *action = kill_thread(t, kSigkill);
    return true;
  }
  seccomp_data data = call_of(t);
  std::uint32_t value = answer(t->filters, data);
  std::uint32_t detail = value & SECCOMP_RET_DATA;
  switch (value & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG: return false;
    case SECCOMP_RET_ERRNO:
      *action = done(t, -static_cast<std::int64_t>(detail < 4095 ? detail : 4095));
      return true;
    case SECCOMP_RET_TRAP: *action = trap(t, data, detail); return true;
    case SECCOMP_RET_TRACE:  // what the kernel answers when nobody traces or listens
    case SECCOMP_RET_USER_NOTIF: *action = done(t, -kENOSYS); return true;
    case SECCOMP_RET_KILL_THREAD: *action = kill_thread(t, kSigsys); return true;
    default: kill_process(t, kSigsys);
  }
}

std::int64_t set_seccomp(ThreadBlock* t, std::uint64_t mode, std::uint64_t program) {
  if (mode == SECCOMP_MODE_STRICT) return be_strict(t);
  return mode == SECCOMP_MODE_FILTER ? add_filter(t, 0, program) : -kEINVAL;
}

std::int64_t get_seccomp(const ThreadBlock* t) {
  return t->filters != nullptr ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
}

std::int64_t save_filters(const ThreadBlock* t) {
  auto fd = sys::call(__NR_memfd_create, sys::address("seccomp"), 0);
  if (!fd.ok()) return fd.raw;
  for (Filter* filter = t->filters; filter != nullptr; filter = filter->earlier) {
    std::uint64_t bytes = sizeof(Filter) + filter->length * sizeof(sock_filter);
    auto written = sys::call(__NR_write, fd.value(), sys::address(filter), bytes);
    if (written.ok() && written.value() == bytes) continue;
    (void)sys::call(__NR_close, fd.value());
    return written.ok() ? -kENOMEM : written.raw;
  }
  (void)sys::call(__NR_lseek, fd.value(), 0, 0);
  return fd.raw;
}

void load_filters(ThreadBlock* t, int fd) {
  auto from = static_cast<std::uint64_t>(fd);
  Filter** end = &t->filters;
  for (;;) {
    Filter head{};
    auto got = sys::call(__NR_read, from, sys::address(&head), sizeof(head));
    if (got.ok() && got.value() == 0) break;
    Filter* filter = got.ok() ? make_filter(head.length) : nullptr;
    std::uint64_t bytes = head.length * sizeof(sock_filter);
    if (filter == nullptr ||
        sys::call(__NR_read, from, sys::address(filter->code()), bytes).raw !=
            static_cast<std::int64_t>(bytes))
      die("cannot take over the seccomp filters of this program");
    *end = filter;
    end = &filter->earlier;
  }
  (void)sys::call(__NR_close, from);
  all_slow();
}

namespace {

// One that another thread of this restart was given already.
Filter* restored_filter(std::uint64_t id) {
  for (std::uint32_t i = 0; i < block_count(); ++i)
    for (Filter* filter = block_at(i)->in_use != 0 ? block_at(i)->filters : nullptr;
         filter != nullptr; filter = filter->earlier)
      if (filter->id == id) return filter;
  return nullptr;
}

}  // namespace

std::int32_t put_filters(ThreadBlock* t, bool strict, const char* from, std::uint64_t bytes) {
  t->strict = strict ? 1 : 0;
  all_slow();
  Filter* newest = nullptr;
  Filter** end = &newest;
  while (bytes != 0) {
    abi::LinkFilter head;
    if (bytes < sizeof(head)) return -kEINVAL;
    memcpy(&head, from, sizeof(head));
    std::uint64_t code = std::uint64_t{head.length} * sizeof(sock_filter);
    if (head.length > BPF_MAXINSNS || bytes - sizeof(head) < code) return -kEINVAL;
    Filter* filter = restored_filter(head.id);
    *end = filter;
    if (filter != nullptr) break;  // and so are all before it
    filter = make_filter(head.length);
    if (filter == nullptr) return -kENOMEM;
    memcpy(filter->code(), from + sizeof(head), code);
    filter->id = head.id;
    *end = filter;
    end = &filter->earlier;
    from += sizeof(head) + code;
    bytes -= sizeof(head) + code;
  }
  t->filters = newest;
  return 0;
}

const HandlerRow kSeccompHandlers[] = {{__NR_seccomp, seccomp},
                                       {446 /* landlock_restrict_self */, landlock_restrict_self},
                                       {0, nullptr}};

}  // namespace cairn::runtime
