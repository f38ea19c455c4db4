// Two vDSOs. The kernel's own is code and data of this machine: it is moved into the arena and
// thrown away with it. The guest gets one of ours, ordinary guest memory that is saved with it:
//
//   guest: clock_gettime -> guest vDSO: jmp *slot -> export page -> wrapper in entry.S
//                                                        -> the kernel's function (+ offset)
//
// So an image runs under another kernel's vDSO, and the monotonic clock goes on over a restart.

#include "runtime/intercept/vdso.h"

#include <elf.h>

#include "abi/arena.h"
#include "abi/export_page.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/maps.h"
#include "runtime/host/support.h"
#include "runtime/intercept/entry.h"
#include "sys/syscall.h"

extern "C" {
extern const char cairn_plain_clock_gettime[], cairn_plain_gettimeofday[], cairn_plain_time[],
    cairn_plain_clock_getres[], cairn_plain_getcpu[], cairn_copy_end_of_plain[];
extern const unsigned char cairn_guest_vdso_image[], cairn_guest_vdso_image_end[];
const void* cairn_real_clock_gettime = cairn_plain_clock_gettime;
const void* cairn_real_gettimeofday = cairn_plain_gettimeofday;
const void* cairn_real_time = cairn_plain_time;
const void* cairn_real_clock_getres = cairn_plain_clock_getres;
const void* cairn_real_getcpu = cairn_plain_getcpu;
}

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t g_kernel_vdso = 0, g_kernel_vdso_end = 0;
std::uint64_t g_guest_vdso = 0;
std::uint64_t g_guest_function[8];  // by slot

bool names_match(const char* found, const char* wanted) { return string_equal(found, wanted); }

// Calls f(name, address) for each defined symbol of the ELF image in memory at `base`.
template <class F>
void each_symbol(std::uint64_t base, F&& f) {
  auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
  auto* segments = reinterpret_cast<const Elf64_Phdr*>(base + header->e_phoff);
  const Elf64_Dyn* dynamic = nullptr;
  std::uint64_t bias = base;
  for (int i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type == PT_DYNAMIC)
      dynamic = reinterpret_cast<const Elf64_Dyn*>(base + segments[i].p_offset);
    if (segments[i].p_type == PT_LOAD) bias = base + segments[i].p_offset - segments[i].p_vaddr;
  }
  if (dynamic == nullptr) return;
  const Elf64_Sym* symbols = nullptr;
  const char* strings = nullptr;
  for (; dynamic->d_tag != DT_NULL; ++dynamic) {
    if (dynamic->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const Elf64_Sym*>(bias + dynamic->d_un.d_ptr);
    if (dynamic->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(bias + dynamic->d_un.d_ptr);
  }
  // .dynstr follows .dynsym in every vDSO there has been, and newer ones have no DT_HASH to count by.
  if (symbols == nullptr || strings == nullptr) return;
  for (auto* s = symbols; sys::address(s) + sizeof(*s) <= sys::address(strings); ++s)
    if (s->st_shndx != SHN_UNDEF && s->st_name != 0) f(strings + s->st_name, bias + s->st_value);
}

void find_kernel_functions() {
  each_symbol(g_kernel_vdso, [](const char* name, std::uint64_t address) {
    auto* p = reinterpret_cast<const void*>(address);
    if (names_match(name, "__vdso_clock_gettime")) cairn_real_clock_gettime = p;
    if (names_match(name, "__vdso_gettimeofday")) cairn_real_gettimeofday = p;
    if (names_match(name, "__vdso_time")) cairn_real_time = p;
    if (names_match(name, "__vdso_clock_getres")) cairn_real_clock_getres = p;
    if (names_match(name, "__vdso_getcpu")) cairn_real_getcpu = p;
  });
}

struct SpecialMappings {
  Mapping found[8];
  int count = 0;
};

// The kernel's special mappings, which alone are called so: [vvar], [vvar_vclock], [vdso].
void note_special(const Mapping& mapping, void* context) {
  auto* list = static_cast<SpecialMappings*>(context);
  bool special = starts_with(mapping.name, "[vvar") || starts_with(mapping.name, "[vdso]");
  if (special && list->count < 8) list->found[list->count++] = mapping;
}

}  // namespace

void adopt_kernel_vdso(std::uint64_t sysinfo_ehdr) {
  SpecialMappings special;
  if (sysinfo_ehdr != 0) (void)each_mapping(note_special, &special);
  if (special.count == 0) return;
  const Mapping* found = special.found;
  std::uint64_t first = found[0].start;
  for (int i = 0; i < special.count; ++i) {
    std::uint64_t to = abi::kVdso + (found[i].start - first);
    auto moved = sys::call(__NR_mremap, found[i].start, found[i].end - found[i].start,
                           found[i].end - found[i].start, 3 /* MAYMOVE|FIXED */, to);
    if (!moved.ok()) die("cannot move the kernel's vDSO; error", moved.raw);
    if (found[i].start == sysinfo_ehdr) {
      g_kernel_vdso = to;
      g_kernel_vdso_end = to + (found[i].end - found[i].start);
    }
  }
  if (g_kernel_vdso != 0) find_kernel_functions();
}

sys::SysResult map_guest_vdso() {
  std::uint64_t bytes = sys::address(cairn_guest_vdso_image_end) - sys::address(cairn_guest_vdso_image);
  std::uint64_t span = (bytes + kPage - 1) / kPage * kPage;
  auto at = sys::call(__NR_mmap, 0, span, 3, 0x22, static_cast<std::uint64_t>(-1), 0);
  if (!at.ok()) return at;
  memcpy(reinterpret_cast<void*>(at.value()), cairn_guest_vdso_image, bytes);
  auto sealed = sys::call(__NR_mprotect, at.value(), span, 5);
  if (!sealed.ok()) return sealed;
  set_guest_vdso(at.value());
  return at;
}

void set_guest_vdso(std::uint64_t address) {
  g_guest_vdso = address;
  if (address == 0) return;
  each_symbol(address, [](const char* name, std::uint64_t function) {
    if (names_match(name, "__vdso_clock_gettime")) g_guest_function[2] = function;
    if (names_match(name, "__vdso_gettimeofday")) g_guest_function[3] = function;
    if (names_match(name, "__vdso_time")) g_guest_function[4] = function;
    if (names_match(name, "__vdso_clock_getres")) g_guest_function[5] = function;
    if (names_match(name, "__vdso_getcpu")) g_guest_function[6] = function;
  });
}

std::uint64_t guest_vdso() { return g_guest_vdso; }

std::uint64_t guest_vdso_function(std::uint64_t slot) { return g_guest_function[slot & 7]; }

bool in_kernel_vdso(std::uint64_t address) {
  return address >= g_kernel_vdso && address < g_kernel_vdso_end;
}

bool in_plain_vdso(std::uint64_t address) {
  return address >= sys::address(cairn_plain_clock_gettime) &&
         address < label(cairn_copy_end_of_plain);
}

std::int64_t kernel_monotonic_ns() {
  Timespec now{};
  using Function = int (*)(int, Timespec*);
  reinterpret_cast<Function>(reinterpret_cast<std::uint64_t>(cairn_real_clock_gettime))(1, &now);
  return now.sec * 1'000'000'000 + now.nsec;
}

}  // namespace cairn::runtime
