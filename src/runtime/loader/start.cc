// The guest's stack as the kernel lays it out (fs/binfmt_elf.c):
//
//   high  8 zero bytes, path, environment strings, argument strings, platform, 16 random bytes
//         auxv, envp[], argv[]
//   low   argc                                             rsp, 16-byte aligned
//
// It is a growing mapping of our own at the top of the address space: the kernel's goes away with
// the arena's other leftovers, so that a restart finds nothing in the guest's way.

#include "runtime/loader/start.h"

#include <elf.h>
#include <linux/prctl.h>

#include "abi/arena.h"
#include "runtime/handlers/exec.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "runtime/intercept/cpu_view.h"
#include "runtime/intercept/text.h"
#include "runtime/intercept/vdso.h"
#include "runtime/loader/agent_start.h"
#include "runtime/loader/program.h"
#include "sys/syscall.h"

namespace cairn::runtime {

char g_executable[4096];

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kStackTop = 0x7ffffffff000;
constexpr std::uint64_t kMapStackFlags = 0x20122;  // PRIVATE|ANONYMOUS|GROWSDOWN|STACK
constexpr std::uint64_t kMapFixedNoreplace = 0x100000;
constexpr int kMaxAuxv = 40;
std::uint64_t g_auxv[2 * kMaxAuxv];

std::uint64_t page_up(std::uint64_t x) { return (x + kPage - 1) & ~(kPage - 1); }

std::uint64_t strings_bytes(char** list) {
  std::uint64_t bytes = 0;
  for (; *list != nullptr; ++list) bytes += string_length(*list) + 1 + 8;
  return bytes;
}

std::uint64_t count(char** list) {
  std::uint64_t n = 0;
  while (list[n] != nullptr) ++n;
  return n;
}

std::uint64_t random_word() {
  std::uint64_t value = 0;
  (void)sys::call(__NR_getrandom, sys::address(&value), sizeof(value), 1);
  return value;
}

// The mapping's top varies as the kernel's does; what is free below it, it grows into.
std::uint64_t map_stack(std::uint64_t bytes, bool executable) {
  std::uint64_t size = page_up(bytes) + 32 * kPage;
  std::uint64_t prot = executable ? 7 : 3;
  for (int attempt = 0; attempt < 64; ++attempt) {
    std::uint64_t top = kStackTop - (random_word() & 0x3fffff) * kPage - kPage;
    auto at = sys::call(__NR_mmap, top - size, size, prot, kMapStackFlags | kMapFixedNoreplace,
                        static_cast<std::uint64_t>(-1), 0);
    if (at.ok() && at.value() == top - size) return top;
    if (at.ok()) (void)sys::call(__NR_munmap, at.value(), size);
  }
  die("no room for the program's stack");
}

// Copies strings downwards from `at`, last one first, and notes their addresses.
std::uint64_t copy_strings(char** list, std::uint64_t n, std::uint64_t at, std::uint64_t* addresses) {
  for (std::uint64_t i = n; i-- > 0;) {
    std::uint64_t bytes = string_length(list[i]) + 1;
    at -= bytes;
    memcpy(reinterpret_cast<void*>(at), list[i], bytes);
    addresses[i] = at;
  }
  return at;
}

std::uint64_t copy_string(const char* text, std::uint64_t at) {
  std::uint64_t bytes = string_length(text) + 1;
  memcpy(reinterpret_cast<void*>(at - bytes), text, bytes);
  return at - bytes;
}

constexpr std::uint64_t kHwcap2Fsgsbase = 2;

struct Strings {
  std::uint64_t arg_start, arg_end, env_start, env_end, execfn, random, platform;
};

// The kernel's auxiliary vector with what differs for the guest; what it does not know is passed on.
std::uint64_t fill_auxv(const KernelStart& start, const LoadedImage& program, std::uint64_t base,
                        const Strings& strings) {
  std::uint64_t n = 0;
  for (std::uint64_t* a = start.auxv; a[0] != AT_NULL && n + 2 < 2 * kMaxAuxv; a += 2) {
    std::uint64_t value = a[1];
    switch (a[0]) {
      case AT_SYSINFO_EHDR: value = guest_vdso(); break;
      case AT_PHDR: value = program.program_headers; break;
      case AT_PHNUM: value = program.program_header_count; break;
      case AT_BASE: value = base; break;
      case AT_ENTRY: value = program.entry; break;
      case AT_EXECFN: value = strings.execfn; break;
      case AT_RANDOM: value = strings.random; break;
      case AT_PLATFORM: value = strings.platform; break;
      case AT_HWCAP2: value = cpu_view_in_force() ? value & ~kHwcap2Fsgsbase : value; break;
      case 27:    // AT_RSEQ_FEATURE_SIZE and
      case 28:    // AT_RSEQ_ALIGN are the kernel's own
      default: break;
    }
    g_auxv[n++] = a[0];
    g_auxv[n++] = value;
  }
  g_auxv[n++] = AT_NULL;
  g_auxv[n++] = 0;
  return n * 8;
}

struct MmMap {
  std::uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack, arg_start,
      arg_end, env_start, env_end, auxv;
  std::uint32_t auxv_size, exe_fd;
};

// Where the heap begins: behind the program, at a random distance as the kernel's.
std::uint64_t heap_start(const LoadedImage& program) {
  auto persona = sys::call(__NR_personality, 0xffffffff);
  bool fixed = persona.ok() && (persona.value() & 0x40000) != 0;
  return program.end + (fixed ? 0 : (random_word() & 0x1fff) * kPage);
}

void tell_kernel(const LoadedImage& program, const Strings& strings, std::uint64_t sp,
                 std::uint64_t auxv, std::uint64_t auxv_bytes) {
  std::uint64_t brk = heap_start(program);
  MmMap map{program.start_code, program.end_code, program.start_data, program.end_data, brk, brk, sp,
            strings.arg_start, strings.arg_end, strings.env_start, strings.env_end, auxv,
            static_cast<std::uint32_t>(auxv_bytes), static_cast<std::uint32_t>(-1)};
  auto done = sys::call(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, sys::address(&map), sizeof(map), 0);
  if (!done.ok()) die("the kernel refuses PR_SET_MM_MAP (CONFIG_CHECKPOINT_RESTORE); error", done.raw);
}

// Since 6.14 a program that was started by descriptor alone is named by its file, not by the number.
bool kernel_names_by_file() {
  struct {
    char field[6][65];
  } names{};
  if (!sys::call(__NR_uname, sys::address(&names)).ok()) return false;
  const char* at = names.field[2];
  auto number = [&at] {
    int value = 0;
    for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + (*at - '0');
    return value;
  };
  int major = number();
  if (*at == '.') ++at;
  return major > 6 || (major == 6 && number() >= 14);
}

void name_process(const char* path) {
  const char* name = path;
  for (const char* p = path; *p != 0; ++p)
    if (*p == '/') name = p + 1;
  (void)sys::call(__NR_prctl, PR_SET_NAME, sys::address(name));
}

void note_executable(int fd) {
  char link[64];
  append_decimal(append(link, "/proc/self/fd/"), fd);
  auto length = sys::call(__NR_readlink, sys::address(link), sys::address(g_executable),
                          sizeof(g_executable) - 1);
  g_executable[length.ok() ? length.value() : 0] = 0;
}

int open_or_die(const char* path) {
  auto fd = sys::call(__NR_open, sys::address(path), 0x80000);
  if (!fd.ok()) {
    say("cannot open", path);
    die("program not started; error", fd.raw);
  }
  return static_cast<int>(fd.value());
}

}  // namespace

KernelStart read_start(std::uint64_t* stack) {
  KernelStart start{};
  start.argc = stack[0];
  start.argv = reinterpret_cast<char**>(stack + 1);
  start.envp = start.argv + start.argc + 1;
  char** end = start.envp;
  while (*end != nullptr) ++end;
  start.auxv = reinterpret_cast<std::uint64_t*>(end + 1);
  return start;
}

std::uint64_t auxv_value(const KernelStart& start, std::uint64_t type) {
  for (std::uint64_t* a = start.auxv; a[0] != AT_NULL; a += 2)
    if (a[0] == type) return a[1];
  return 0;
}

EntryPoint start_program(const KernelStart& start, const ProgramRequest& request) {
  int fd = request.fd >= 0 ? request.fd : open_or_die(request.path);
  ProgramFile file;
  if (inspect_program(fd, &file).ok() && file.is_script) {
    (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd));
    wait_for_agent(request.agent_report);  // the exec would forget it
    die("cannot run the script's interpreter; error",
        exec_program(current(), request.path, request.argv, start.envp));
  }
  note_executable(fd);
  static LoadedImage program, interpreter;
  auto loaded = load_image(fd, false, &program);
  if (!loaded.ok()) die("cannot load the program; error", loaded.raw);
  (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd));
  std::uint64_t rip = program.entry;
  if (program.interpreter[0] != 0) {
    int interpreter_fd = open_or_die(program.interpreter);
    loaded = load_image(interpreter_fd, true, &interpreter);
    if (!loaded.ok()) die("cannot load the program's interpreter; error", loaded.raw);
    (void)sys::call(__NR_close, static_cast<std::uint64_t>(interpreter_fd));
    rip = interpreter.entry;
  }
  set_static_program(program.interpreter[0] == 0);
  auto vdso = map_guest_vdso();
  if (!vdso.ok()) die("cannot map the guest's vDSO; error", vdso.raw);

  std::uint64_t envc = count(start.envp);
  std::uint64_t bytes = strings_bytes(request.argv) + strings_bytes(start.envp) + 8192;
  std::uint64_t at = map_stack(bytes, program.executable_stack) - 8;
  Strings strings{};
  at = copy_string(request.path, at);
  strings.execfn = at;

  // The pointer arrays are built at the bottom once the strings are up; until then they live in a
  // scratch part of the same mapping, at its low end.
  std::uint64_t words = 1 + request.argc + 1 + envc + 1;
  auto low = (at - bytes + 4096) & ~15ULL;
  auto* vector = reinterpret_cast<std::uint64_t*>(low - words * 8 - 16);
  vector[0] = request.argc;
  strings.env_end = at;
  at = copy_strings(start.envp, envc, at, vector + 1 + request.argc + 1);
  strings.env_start = at;
  strings.arg_end = at;
  at = copy_strings(request.argv, request.argc, at, vector + 1);
  strings.arg_start = at;
  vector[1 + request.argc] = 0;
  vector[1 + request.argc + 1 + envc] = 0;
  at = copy_string("x86_64", at);
  strings.platform = at;
  at = (at & ~15ULL) - 16;
  memcpy(reinterpret_cast<void*>(at), reinterpret_cast<const void*>(auxv_value(start, AT_RANDOM)), 16);
  strings.random = at;

  std::uint64_t auxv_bytes = fill_auxv(start, program, interpreter.bias, strings);
  std::uint64_t sp = (at - auxv_bytes - words * 8) & ~15ULL;
  memmove(reinterpret_cast<void*>(sp), vector, words * 8);
  memcpy(reinterpret_cast<void*>(sp + words * 8), g_auxv, auxv_bytes);
  if (sys::address(vector) < sp)  // leave no copy of the vectors below the stack pointer
    memset(vector, 0, sp - sys::address(vector) < words * 8 ? sp - sys::address(vector) : words * 8);
  tell_kernel(program, strings, sp, sp + words * 8, auxv_bytes);
  name_process(request.nameless && kernel_names_by_file() ? g_executable : request.path);
  return {rip, sp};
}

}  // namespace cairn::runtime
