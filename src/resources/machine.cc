#include "resources/machine.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/cpu_view.h"
#include "resources/file_rewind.h"
#include "resources/memory_maps.h"
#include "resources/rebuild.h"

namespace cairn::resources {
namespace {

struct LeafName {
  std::uint32_t leaf;
  std::uint32_t subleaf;
};
// Where features are told that programs choose their code by.
constexpr std::array kLeaves{LeafName{1, 0},  LeafName{7, 0},          LeafName{7, 1},
                             LeafName{7, 2},  LeafName{0xd, 0},        LeafName{0xd, 1},
                             LeafName{0xd, 2}, LeafName{0xd, 5}, LeafName{0xd, 6}, LeafName{0xd, 7},
                             LeafName{0xd, 9},
                             LeafName{0x14, 0}, LeafName{0x19, 0},     LeafName{0x24, 0},
                             LeafName{0x80000001, 0}, LeafName{0x80000008, 0}};

// Bits that say nothing about instructions: numbers of CPUs, states of the system, what is only for
// the kernel. A bit here may be missing on the machine of the restart.
struct FeatureBit {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  char output;  // 'b', 'c', 'd' or 'a'
  int bit;
  const char* name;
};
constexpr std::array kFeatures{
    FeatureBit{1, 0, 'c', 0, "sse3"},        FeatureBit{1, 0, 'c', 1, "pclmulqdq"},
    FeatureBit{1, 0, 'c', 9, "ssse3"},       FeatureBit{1, 0, 'c', 12, "fma"},
    FeatureBit{1, 0, 'c', 13, "cmpxchg16b"}, FeatureBit{1, 0, 'c', 19, "sse4.1"},
    FeatureBit{1, 0, 'c', 20, "sse4.2"},     FeatureBit{1, 0, 'c', 22, "movbe"},
    FeatureBit{1, 0, 'c', 23, "popcnt"},     FeatureBit{1, 0, 'c', 25, "aes"},
    FeatureBit{1, 0, 'c', 26, "xsave"},      FeatureBit{1, 0, 'c', 28, "avx"},
    FeatureBit{1, 0, 'c', 29, "f16c"},       FeatureBit{1, 0, 'c', 30, "rdrand"},
    FeatureBit{7, 0, 'b', 0, "fsgsbase"},    FeatureBit{7, 0, 'b', 3, "bmi1"},
    FeatureBit{7, 0, 'b', 4, "hle"},         FeatureBit{7, 0, 'b', 5, "avx2"},
    FeatureBit{7, 0, 'b', 8, "bmi2"},        FeatureBit{7, 0, 'b', 9, "erms"},
    FeatureBit{7, 0, 'b', 11, "rtm"},        FeatureBit{7, 0, 'b', 16, "avx512f"},
    FeatureBit{7, 0, 'b', 17, "avx512dq"},   FeatureBit{7, 0, 'b', 18, "rdseed"},
    FeatureBit{7, 0, 'b', 19, "adx"},        FeatureBit{7, 0, 'b', 21, "avx512ifma"},
    FeatureBit{7, 0, 'b', 23, "clflushopt"}, FeatureBit{7, 0, 'b', 24, "clwb"},
    FeatureBit{7, 0, 'b', 28, "avx512cd"},   FeatureBit{7, 0, 'b', 29, "sha"},
    FeatureBit{7, 0, 'b', 30, "avx512bw"},   FeatureBit{7, 0, 'b', 31, "avx512vl"},
    FeatureBit{7, 0, 'c', 1, "avx512vbmi"},  FeatureBit{7, 0, 'c', 5, "waitpkg"},
    FeatureBit{7, 0, 'c', 6, "avx512vbmi2"}, FeatureBit{7, 0, 'c', 8, "gfni"},
    FeatureBit{7, 0, 'c', 9, "vaes"},        FeatureBit{7, 0, 'c', 10, "vpclmulqdq"},
    FeatureBit{7, 0, 'c', 11, "avx512vnni"}, FeatureBit{7, 0, 'c', 12, "avx512bitalg"},
    FeatureBit{7, 0, 'c', 14, "avx512vpopcntdq"}, FeatureBit{7, 0, 'c', 22, "rdpid"},
    FeatureBit{7, 0, 'c', 27, "movdiri"},    FeatureBit{7, 0, 'c', 28, "movdir64b"},
    FeatureBit{7, 0, 'd', 8, "avx512vp2intersect"}, FeatureBit{7, 0, 'd', 14, "serialize"},
    FeatureBit{7, 0, 'd', 22, "amx-bf16"},   FeatureBit{7, 0, 'd', 23, "avx512fp16"},
    FeatureBit{7, 0, 'd', 24, "amx-tile"},   FeatureBit{7, 0, 'd', 25, "amx-int8"},
    FeatureBit{7, 1, 'a', 4, "avx-vnni"},    FeatureBit{7, 1, 'a', 5, "avx512bf16"},
    FeatureBit{7, 1, 'a', 23, "avx-ifma"},
    FeatureBit{0x80000001, 0, 'c', 0, "lahf"}, FeatureBit{0x80000001, 0, 'c', 5, "lzcnt"},
    FeatureBit{0x80000001, 0, 'c', 6, "sse4a"}, FeatureBit{0x80000001, 0, 'c', 8, "prefetchw"},
    FeatureBit{0x80000001, 0, 'c', 11, "xop"}, FeatureBit{0x80000001, 0, 'c', 16, "fma4"},
    FeatureBit{0x80000001, 0, 'c', 21, "tbm"}, FeatureBit{0x80000001, 0, 'd', 27, "rdtscp"},
};

// States that go with a feature of kFeatures. The others are those of MPX, which Linux no longer offers
// (5.6), and of protection keys, without which a program runs as before.
constexpr std::uint64_t kStateOfFeatures = ~std::uint64_t{0x8 | 0x10 | 0x200};

// glibc saves registers when it binds a function late: with xsavec, which leaves out what was never
// used, or with xsave, which writes all that the CPU has of these (STATE_SAVE_MASK) into a room whose
// size was asked for when the program began.
constexpr std::uint64_t kSavedByXsave = 0xe6;

bool saves_by_xsave(const image::Machine& machine) {
  bool xsave = false, xsavec = false;
  for (const auto& leaf : machine.cpuid()) {
    if (leaf.leaf() == 1) xsave = (leaf.ecx() >> 27 & 1) != 0;
    if (leaf.leaf() == 0xd && leaf.subleaf() == 1) xsavec = (leaf.eax() >> 1 & 1) != 0;
  }
  return xsave && !xsavec;
}

std::uint64_t read_xcr0() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1U << 27))) return 0;  // OSXSAVE
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

std::uint32_t room_for_xsave() {
  const std::uint64_t states = read_xcr0() & kSavedByXsave;
  std::uint32_t room = 0;
  for (unsigned state = 2; state < 8; ++state) {
    unsigned size = 0, offset = 0, c = 0, d = 0;
    if ((states >> state & 1) != 0 && __get_cpuid_count(0xd, state, &size, &offset, &c, &d))
      room = std::max(room, offset + size);
  }
  return room;
}

std::string cpu_model() {
  std::array<unsigned, 12> words{};
  for (unsigned i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002 + i, &words[i * 4], &words[i * 4 + 1], &words[i * 4 + 2],
                     &words[i * 4 + 3]))
      return {};
  std::string name(reinterpret_cast<const char*>(words.data()), sizeof words);
  return name.c_str();
}

std::uint32_t output_of(const image::CpuidLeaf& leaf, char output) {
  return output == 'a' ? leaf.eax() : output == 'b' ? leaf.ebx() : output == 'c' ? leaf.ecx()
                                                                                 : leaf.edx();
}

bool has_feature(const image::Machine& machine, const FeatureBit& feature) {
  for (const auto& leaf : machine.cpuid())
    if (leaf.leaf() == feature.leaf && leaf.subleaf() == feature.subleaf)
      return (output_of(leaf, feature.output) >> feature.bit) & 1;
  return false;
}

}  // namespace

void describe_machine(image::Machine& machine, const abi::CpuView& seen) {
  const bool cut = seen.level != 0;
  for (const auto& [number, subleaf] : kLeaves) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (cut) {
      const abi::CpuidAnswer* answer = abi::find_answer(seen, number, subleaf);
      if (answer == nullptr) continue;
      a = answer->eax, b = answer->ebx, c = answer->ecx, d = answer->edx;
    } else if (!__get_cpuid_count(number, subleaf, &a, &b, &c, &d)) {
      continue;
    }
    auto& leaf = *machine.add_cpuid();
    leaf.set_leaf(number);
    leaf.set_subleaf(subleaf);
    leaf.set_eax(a);
    leaf.set_ebx(b);
    leaf.set_ecx(c);
    leaf.set_edx(d);
    if (number == 0xd && subleaf == 0) machine.set_xsave_bytes(b);
  }
  machine.set_xcr0(cut ? seen.xcr0 : read_xcr0());
  machine.set_cpu_model(cpu_model());
  machine.set_task_size(0x7ffffffff000);
  utsname names{};
  if (::uname(&names) == 0) {
    machine.set_kernel_release(names.release);
    machine.set_node_name(names.nodename);
  }
}

void describe_cpu_view(const abi::CpuView& view, image::Machine& machine) {
  machine.set_cpu_level(view.level);
  for (std::uint32_t i = 0; i < view.answers; ++i) {
    const abi::CpuidAnswer& answer = view.answer[i];
    auto& leaf = *machine.add_cpu_view();
    leaf.set_leaf(answer.leaf);
    leaf.set_subleaf(answer.subleaf);
    leaf.set_eax(answer.eax);
    leaf.set_ebx(answer.ebx);
    leaf.set_ecx(answer.ecx);
    leaf.set_edx(answer.edx);
  }
}

abi::CpuView cpu_view_of(const image::Machine& machine) {
  abi::CpuView view{};
  view.level = machine.cpu_level();
  view.xcr0 = cpu_level_states(view.level);
  for (const auto& leaf : machine.cpu_view()) {
    if (view.answers == abi::kMaxCpuidAnswers) break;
    view.answer[view.answers++] = {leaf.leaf(), leaf.subleaf(), leaf.eax(), leaf.ebx(), leaf.ecx(), leaf.edx()};
  }
  return view;
}

std::vector<std::string> what_machine_lacks(const image::Machine& saved) {
  std::vector<std::string> problems;
  image::Machine here;
  describe_machine(here, {});
  std::string missing;
  for (const auto& feature : kFeatures)
    if (has_feature(saved, feature) && !has_feature(here, feature))
      missing += fmt::format(" {}", feature.name);
  if (!missing.empty())
    problems.push_back(fmt::format("the CPU lacks what the program may use:{}", missing));
  if (const std::uint64_t state = saved.xcr0() & ~here.xcr0() & kStateOfFeatures; state != 0)
    problems.push_back(fmt::format("the CPU or kernel lacks register state of the program (xcr0 {:#x}, here {:#x})",
                                   saved.xcr0(), here.xcr0()));
  if (const std::uint32_t room = room_for_xsave(); saved.cpu_level() == 0 && saves_by_xsave(saved) && saved.xsave_bytes() < room)
    problems.push_back(fmt::format("this CPU has more registers ({} bytes of state) than the program makes room for ({})",
                                   room, saved.xsave_bytes()));
  if (saved.cpu_level() == 0 && !missing.empty())
    problems.back() += "; a program started with `cairn run --cpu x86-64-v2` (or -v3) uses only what most have";
  if (saved.task_size() > here.task_size())
    problems.push_back("the user's address space is smaller here");
  return problems;
}

std::vector<std::string> check_machine(const image::ProcessImage& image) {
  auto problems = what_machine_lacks(image.machine());
  for (auto& problem : missing_files(image)) problems.push_back(std::move(problem));
  // Root gives the process its own ids.
  if (::geteuid() != 0 &&
      (image.credentials().euid() != ::geteuid() || image.credentials().egid() != ::getegid()))
    problems.push_back(fmt::format("the program ran as user {}, group {}; this is user {}, group {}",
                                   image.credentials().euid(), image.credentials().egid(),
                                   ::geteuid(), ::getegid()));
  return problems;
}

}  // namespace cairn::resources
