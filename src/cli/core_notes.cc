#include "cli/core_notes.h"

#include <elf.h>
#include <signal.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include <algorithm>
#include <cstring>

#include "abi/link.h"
#include "cli/guest_memory.h"

namespace cairn::cli {
namespace {

// The xsave area of a signal frame (arch/x86/include/uapi/asm/sigcontext.h) has in its software
// bytes what a core has elsewhere.
constexpr std::size_t kSoftwareBytes = 464;
constexpr std::size_t kFrameFeatures = kSoftwareBytes + 8;
constexpr std::size_t kFrameMagicBytes = 4;  // behind the area

class Notes {
 public:
  void add(const char* name, std::uint32_t type, std::string_view bytes) {
    const Elf64_Nhdr header{static_cast<Elf64_Word>(std::strlen(name) + 1),
                            static_cast<Elf64_Word>(bytes.size()), type};
    text_.append(reinterpret_cast<const char*>(&header), sizeof header);
    text_.append(name, std::strlen(name) + 1);
    pad();
    text_.append(bytes);
    pad();
  }
  template <class T>
  void add_object(std::uint32_t type, const T& object) {
    add("CORE", type, {reinterpret_cast<const char*>(&object), sizeof object});
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void pad() { text_.resize((text_.size() + 3) / 4 * 4); }
  std::string text_;
};

void append(std::string& text, std::uint64_t number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// From the order of struct sigcontext to that of struct user_regs_struct.
user_regs_struct registers_of(const image::Thread& thread) {
  std::uint64_t from[abi::kGeneralRegisters] = {};
  std::memcpy(from, thread.registers().data(), std::min(sizeof from, thread.registers().size()));
  user_regs_struct to{};
  to.r15 = from[abi::kR15];
  to.r14 = from[abi::kR14];
  to.r13 = from[abi::kR13];
  to.r12 = from[abi::kR12];
  to.rbp = from[abi::kRbp];
  to.rbx = from[abi::kRbx];
  to.r11 = from[abi::kR11];
  to.r10 = from[abi::kR10];
  to.r9 = from[abi::kR9];
  to.r8 = from[abi::kR8];
  to.rax = from[abi::kRax];
  to.rcx = from[abi::kRcx];
  to.rdx = from[abi::kRdx];
  to.rsi = from[abi::kRsi];
  to.rdi = from[abi::kRdi];
  to.orig_rax = ~0ULL;  // not inside of a system call
  to.rip = from[abi::kRip];
  to.cs = from[abi::kCsGsFs] & 0xffff;
  to.eflags = from[abi::kEflags];
  to.rsp = from[abi::kRsp];
  to.ss = 0x2b;  // __USER_DS
  to.fs_base = thread.fs_base();
  to.gs_base = thread.gs_base();
  return to;
}

// Debuggers that are older than the processor do not know the largest parts (the tiles of AMX);
// where the thread has not used them they are left out, so that the rest is understood.
void leave_out_unused(std::string& area, const image::Machine& machine) {
  constexpr std::size_t kHeader = 512;  // of the xsave area: which parts are in use
  constexpr unsigned kKnownParts = 10;  // up to PKRU
  std::uint64_t used = 0;
  std::uint64_t there = 0;
  std::memcpy(&used, area.data() + kHeader, sizeof used);
  std::memcpy(&there, area.data() + kSoftwareBytes, sizeof there);
  const std::uint64_t known = (1ULL << kKnownParts) - 1;
  if ((used & ~known) != 0) return;
  there &= known;
  std::size_t bytes = kHeader + 64;
  std::uint64_t placed = 3;  // x87 and SSE lie in front of the header
  for (const image::CpuidLeaf& leaf : machine.cpuid()) {
    if (leaf.leaf() != 0xd || leaf.subleaf() < 2 || leaf.subleaf() >= kKnownParts) continue;
    if ((there >> leaf.subleaf() & 1) == 0) continue;
    placed |= 1ULL << leaf.subleaf();
    bytes = std::max<std::size_t>(bytes, leaf.eax() + leaf.ebx());
  }
  if (placed != there || bytes > area.size()) return;
  std::memcpy(area.data() + kSoftwareBytes, &there, sizeof there);
  area.resize(bytes);
}

void add_thread(Notes& notes, const image::ProcessImage& process, const image::Thread& thread) {
  elf_prstatus status{};
  status.pr_pid = thread.tid();
  status.pr_ppid = process.ppid();
  status.pr_pgrp = process.pgid();
  status.pr_sid = process.sid();
  status.pr_sighold = thread.signal_mask();
  status.pr_utime.tv_sec = thread.cpu_time().seconds();
  status.pr_utime.tv_usec = thread.cpu_time().nanoseconds() / 1000;
  status.pr_fpvalid = thread.xsave().size() >= sizeof(user_fpregs_struct) ? 1 : 0;
  const user_regs_struct registers = registers_of(thread);
  static_assert(sizeof status.pr_reg == sizeof registers);
  std::memcpy(&status.pr_reg, &registers, sizeof registers);
  notes.add_object(NT_PRSTATUS, status);
  if (status.pr_fpvalid == 0) return;

  std::string area = thread.xsave();
  notes.add("CORE", NT_PRFPREG, std::string_view(area).substr(0, sizeof(user_fpregs_struct)));
  if (area.size() <= sizeof(user_fpregs_struct) + kFrameMagicBytes) return;
  std::memmove(area.data() + kSoftwareBytes, area.data() + kFrameFeatures, sizeof(std::uint64_t));
  area.resize(area.size() - kFrameMagicBytes);
  leave_out_unused(area, process.machine());
  notes.add("LINUX", NT_X86_XSTATE, area);
}

Result<elf_prpsinfo> process_info(const restart::Plan& plan, const image::ProcessImage& process) {
  elf_prpsinfo info{};
  info.pr_sname = 'S';
  info.pr_pid = process.pid();
  info.pr_ppid = process.ppid();
  info.pr_pgrp = process.pgid();
  info.pr_sid = process.sid();
  info.pr_uid = process.credentials().uid();
  info.pr_gid = process.credentials().gid();
  info.pr_nice = static_cast<char>(process.threads(0).nice());
  std::strncpy(info.pr_fname, process.program().name().c_str(), sizeof info.pr_fname - 1);
  const auto& layout = process.layout();
  CAIRN_ASSIGN(const auto words,
               read_guest_strings(plan, process, layout.arg_start(), layout.arg_end()));
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  std::strncpy(info.pr_psargs, line.c_str(), sizeof info.pr_psargs - 1);
  return info;
}

std::string mapped_files(const image::ProcessImage& process) {
  std::string table;
  std::string names;
  std::uint64_t count = 0;
  for (const auto& region : process.regions()) {
    if (region.file().path().empty()) continue;
    append(table, region.start());
    append(table, region.start() + region.length());
    append(table, region.file_offset() / storage::kPageBytes);
    names += region.file().path() + '\0';
    ++count;
  }
  std::string note;
  append(note, count);
  append(note, storage::kPageBytes);
  return note + table + names;
}

// A first thread that has ended has no registers.
bool runs(const image::Thread& thread) {
  abi::ThreadState state{};
  if (thread.runtime().size() == sizeof state)
    std::memcpy(&state, thread.runtime().data(), sizeof state);
  return state.ended == 0;
}

}  // namespace

Result<std::string> core_notes(const restart::Plan& plan, const image::ProcessImage& process) {
  Notes notes;
  bool first = true;
  CAIRN_ASSIGN(const auto info, process_info(plan, process));
  for (const auto& thread : process.threads()) {
    if (!runs(thread)) continue;
    add_thread(notes, process, thread);
    if (!first)
      continue;  // as the kernel does: what is of the process stands behind its first thread
    first = false;
    notes.add_object(NT_PRPSINFO, info);
    notes.add_object(NT_SIGINFO, siginfo_t{});
    notes.add("CORE", NT_AUXV, process.layout().auxv());
    notes.add("CORE", NT_FILE, mapped_files(process));
  }
  return notes.take();
}

}  // namespace cairn::cli
