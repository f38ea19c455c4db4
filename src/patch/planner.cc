// How a plan is found.
//
// A syscall instruction is two bytes, 0f 05; a jump to a stub within 2 GiB is five. So something
// beside the syscall must move into the stub, and nothing may ever jump to where it was.
//
//   before the patch                after it, before >= 5          after it, before < 5
//
//   mov  $1,%eax                    jmp  stub  ------> stub        jmp  stub  ------> stub
//   syscall                         syscall    (in place)            (syscall and cmp are gone)
//   cmp  $-4096,%rax                cmp  ...   <------ entry       ja   ...   <------ stub's end
//   ja   error                      ja   ...
//
// The first form is preferred: the syscall stays where it was, so whoever returns to it, or comes
// from elsewhere, still finds it (Syscall User Dispatch serves it then).
//
// Steps, each cheaper than the next, and most files are done after the first:
//   1. candidates    every 0f 05 in executable segments. None: the plan is empty.
//   2. functions     bounds of the functions that hold candidates, from .eh_frame_hdr, .eh_frame
//                    or symbols. glibc's clone ends its unwind entry just before the syscall; so a
//                    function whose control falls through its end is followed further.
//   3. control flow  each such function is decoded by following control from its start, jump tables
//                    and landing pads. A candidate that starts a followed instruction is a syscall;
//                    one inside a followed instruction is not; one that is not reached waits.
//   4. references    far branches (.cold parts jump back into the middle of their function), data
//                    words and short branches nearby that refer to the bytes around the sites.
//                    Those that lead to a part of step 3 that was not reached are followed too.
//   5. choice        for each site the first form of patch that fits (Chooser).
//
// A mistake in one direction leaves a site to Syscall User Dispatch: slow, correct. A mistake in
// the other one is silent damage in the application. Every doubt is therefore decided for the
// former.

#include "patch/planner.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <memory>

#include "patch/function_code.h"
#include "patch/references.h"
#include "patch/unwind_table.h"

namespace cairn::patch {
namespace {

constexpr std::uint64_t kSyscallBytes = 2;
constexpr std::uint8_t kSyscallByte = 0x05, kCpuidByte = 0xa2;  // behind 0f
constexpr std::uint64_t kJumpBytes = 5;
constexpr std::uint64_t kLargestFunction = 4ULL << 20;
constexpr std::uint64_t kLargestGap = 256;  // behind an unwind entry whose control falls through
constexpr std::uint32_t kRtSigreturn = 15;

// Every `0f <second_byte>`.
void find_pairs(const Segment& segment, std::uint8_t second_byte, std::vector<std::uint64_t>* out) {
  const std::uint8_t* bytes = segment.bytes.data();
  const std::size_t size = segment.bytes.size();
  const __m128i first = _mm_set1_epi8(0x0f);
  const __m128i second = _mm_set1_epi8(static_cast<char>(second_byte));
  std::size_t i = 0;
  for (; i + 17 <= size; i += 16) {
    const auto here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
    const auto next = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i + 1));
    auto hits = static_cast<unsigned>(_mm_movemask_epi8(
        _mm_and_si128(_mm_cmpeq_epi8(here, first), _mm_cmpeq_epi8(next, second))));
    for (; hits != 0; hits &= hits - 1)
      out->push_back(segment.range.start + i + static_cast<unsigned>(std::countr_zero(hits)));
  }
  for (; i + 2 <= size; ++i)
    if (bytes[i] == 0x0f && bytes[i + 1] == second_byte) out->push_back(segment.range.start + i);
}

struct Function {
  FunctionCode code;
  bool signal_frame = false;
  bool readable = true;  // its landing pads are known
  std::vector<std::uint64_t> candidates;
};

// Picks for one site what is moved.
class Chooser {
 public:
  Chooser(const ElfFile& file, const References& references)
      : file_(file), references_(references) {}

  // `free_from`: bytes below belong to the patch of the site before.
  std::optional<abi::PlanSite> choose(const FunctionCode& code, std::uint64_t site,
                                      std::uint64_t free_from) const {
    if (auto found = long_before(code, site, free_from)) return found;
    if (auto found = with_after(code, site, 0)) return found;
    for (const std::uint64_t before : short_befores(code, site, free_from))
      if (auto found = with_after(code, site, before)) return found;
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::optional<abi::PlanSite> finish(const FunctionCode& code,
                                                    abi::PlanSite site) const {
    site.expected_bytes = static_cast<std::uint8_t>(site.before + kSyscallBytes + site.after);
    if (site.expected_bytes > abi::kMaxDisplaced) return std::nullopt;
    const std::uint64_t start = site.syscall_vaddr - site.before;
    if (references_.inside({start, start + kJumpBytes})) return std::nullopt;
    std::memcpy(site.expected, file_.from(start).data(), site.expected_bytes);
    if (!note_rip_fixups(code, &site)) return std::nullopt;
    return site;
  }

  // False: more of them than a plan can name.
  static bool note_rip_fixups(const FunctionCode& code, abi::PlanSite* site) {
    const std::uint64_t start = site->syscall_vaddr - site->before;
    std::size_t used = 0;
    for (std::uint64_t offset = 0; offset < site->expected_bytes; ++offset) {
      const Instruction* instruction = code.at(start + offset);
      if (instruction == nullptr || instruction->rip_displacement == 0) continue;
      if (used == std::size(site->rip_fixup)) return false;
      site->rip_fixup[used++] = static_cast<std::uint8_t>(offset + instruction->rip_displacement);
    }
    return true;
  }

  [[nodiscard]] std::optional<abi::PlanSite> long_before(const FunctionCode& code,
                                                         std::uint64_t site,
                                                         std::uint64_t free_from) const {
    std::uint64_t start = site;
    while (site - start < kJumpBytes) {
      const Instruction* previous = code.ending_at(start);
      if (previous == nullptr || !previous->movable || previous->address < free_from)
        return std::nullopt;
      start = previous->address;
    }
    abi::PlanSite plan{};
    plan.syscall_vaddr = site;
    plan.before = static_cast<std::uint8_t>(site - start);
    return finish(code, plan);
  }

  // Lengths 1 to 4 of whole preceding instructions that may run twice: a thread stopped between
  // them and the syscall is shown, and goes on, at their start.
  static std::vector<std::uint64_t> short_befores(const FunctionCode& code, std::uint64_t site,
                                                  std::uint64_t free_from) {
    std::vector<std::uint64_t> lengths;
    unsigned reads = 0;
    unsigned writes = 0;
    for (std::uint64_t start = site;;) {
      const Instruction* previous = code.ending_at(start);
      if (previous == nullptr || !previous->register_load || previous->address < free_from) break;
      reads |= previous->reads;
      writes |= previous->writes;
      start = previous->address;
      if (site - start >= kJumpBytes || (reads & writes) != 0) break;
      lengths.push_back(site - start);
    }
    return lengths;
  }

  [[nodiscard]] std::optional<abi::PlanSite> with_after(const FunctionCode& code,
                                                        std::uint64_t site,
                                                        std::uint64_t before) const {
    abi::PlanSite plan{};
    plan.syscall_vaddr = site;
    plan.before = static_cast<std::uint8_t>(before);
    std::uint64_t end = site + kSyscallBytes;
    bool only_padding = false;  // behind a ret
    while (end - (site - before) < kJumpBytes) {
      const auto next = only_padding ? padding_at(end) : following(code, end);
      if (!next) return std::nullopt;
      end = next->end();
      if (next->flow == Flow::kBranch || next->flow == Flow::kJump) {
        plan.branch_target = next->target;
        plan.branch_bytes = next->length;
        plan.branch_condition = next->flow == Flow::kJump ? 0xff : next->condition;
        if (end - (site - before) < kJumpBytes) return std::nullopt;
      }
      only_padding = next->flow == Flow::kEnd || only_padding;
    }
    plan.after = static_cast<std::uint8_t>(end - site - kSyscallBytes);
    return finish(code, plan);
  }

  // An instruction that may be moved from behind the syscall.
  [[nodiscard]] std::optional<Instruction> following(const FunctionCode& code,
                                                     std::uint64_t address) const {
    const Instruction* next = code.at(address);
    if (next == nullptr) return std::nullopt;
    const bool plain_return =
        next->flow == Flow::kEnd && next->length == 1 && byte_at(address) == 0xc3;
    const bool branch = next->flow == Flow::kBranch || next->flow == Flow::kJump;
    if (!next->movable && !plain_return && !branch) return std::nullopt;
    return *next;
  }

  [[nodiscard]] std::optional<Instruction> padding_at(std::uint64_t address) const {
    const auto bytes = file_.from(address);
    if (bytes.empty() || references_.has(address)) return std::nullopt;
    auto next = decode(bytes, address);
    if (!next || !next->nop) return std::nullopt;
    return next;
  }

  [[nodiscard]] std::uint8_t byte_at(std::uint64_t address) const {
    return file_.from(address).front();
  }

  const ElfFile& file_;
  const References& references_;
};

class Planner {
 public:
  explicit Planner(const ElfFile& file) : file_(file) {}

  Plan run() {
    plan_.build_id.assign(file_.build_id().begin(), file_.build_id().end());
    plan_.identity = file_.identity();
    std::vector<std::uint64_t> candidates;
    std::vector<std::uint64_t> cpuid_candidates;
    for (const auto& segment : file_.segments()) {
      if (!segment.executable) continue;
      find_pairs(segment, kSyscallByte, &candidates);
      find_pairs(segment, kCpuidByte, &cpuid_candidates);
    }
    plan_.candidates = static_cast<std::uint32_t>(candidates.size());
    if (candidates.empty() && cpuid_candidates.empty()) return std::move(plan_);

    unwind_.emplace(UnwindTable::load(file_));
    symbols_ = file_.code_symbols();
    find_cpuid(cpuid_candidates);
    if (candidates.empty()) return std::move(plan_);
    references_.emplace(file_);
    find_functions(candidates);
    for (auto& [start, function] : functions_) follow(*function);
    if (collect_references()) choose_all();
    return std::move(plan_);
  }

 private:
  // A cpuid instruction keeps its place and its length, so that nothing needs to be known but that it
  // is one: it starts a followed instruction.
  void find_cpuid(const std::vector<std::uint64_t>& candidates) {
    std::map<std::uint64_t, Function> functions;
    for (const std::uint64_t candidate : candidates) {
      const Range range = function_around(candidate);
      if (range.size() == 0) continue;
      const auto [found, added] =
          functions.try_emplace(range.start, Function{.code = FunctionCode(file_, range), .candidates = {}});
      const FunctionCode& code = found->second.code;
      if (added) follow(found->second);
      if (code.at(candidate) != nullptr)
        plan_.cpuid_sites.push_back(candidate);
      else if (!code.reached(candidate) && (!code.valid() || code.unresolved_jump()))
        ++plan_.cpuid_unknown;
    }
    landing_pads_.clear();
  }

  // Empty: no known function holds it.
  [[nodiscard]] Range function_around(std::uint64_t candidate) const {
    Range range;
    if (const auto entry = unwind_->containing(candidate)) {
      range = entry->range;
    } else if (const Symbol* symbol = symbol_containing(candidate)) {
      range = symbol->range;
    } else if (const auto previous = unwind_->last_before(candidate);
               previous && candidate - previous->range.end < kLargestGap) {
      range = {previous->range.start, unwind_->next_start(candidate)};
      range.end = std::min(range.end, previous->range.end + kLargestGap);
    }
    return range.size() > kLargestFunction ? Range{} : range;
  }

  // ---- step 2
  void find_functions(const std::vector<std::uint64_t>& candidates) {
    for (const std::uint64_t candidate : candidates) {
      const Range range = function_around(candidate);
      if (range.size() == 0) {
        ++plan_.outside_of_code;
        continue;
      }
      auto& function = functions_[range.start];
      if (!function || function->code.range().end < range.end) replace(&function, range);
      function->candidates.push_back(candidate);
    }
  }

  // The same start with a later end: a function whose control falls through its unwind entry.
  void replace(std::unique_ptr<Function>* function, Range range) {
    auto made =
        std::make_unique<Function>(Function{.code = FunctionCode(file_, range), .candidates = {}});
    if (*function) made->candidates = std::move((*function)->candidates);
    *function = std::move(made);
  }

  [[nodiscard]] const Symbol* symbol_containing(std::uint64_t address) const {
    auto it = std::ranges::upper_bound(symbols_, address, {},
                                       [](const Symbol& s) { return s.range.start; });
    // Aliases share a start and some have no size: look at all of the nearest few.
    for (int i = 0; i < 8 && it != symbols_.begin(); ++i)
      if ((--it)->range.contains(address)) return &*it;
    return nullptr;
  }

  // ---- step 3
  void follow(Function& function) {
    const Range range = function.code.range();
    const auto entry = unwind_->containing(range.start);
    function.signal_frame = entry && entry->signal_frame;
    // A trampoline's entry begins one byte early: unwinders look a return address up at its minus one.
    function.code.follow(range.start + (function.signal_frame ? 1 : 0));
    if (entry) {
      const auto pads = unwind_->landing_pads(*entry);
      function.readable = pads.has_value();
      if (!pads) return;
      for (const std::uint64_t pad : *pads) {
        function.code.follow(pad);
        landing_pads_.push_back(pad);
      }
    }
    auto it = std::ranges::upper_bound(symbols_, range.start, {},
                                       [](const Symbol& s) { return s.range.start; });
    for (; it != symbols_.end() && it->range.start < range.end; ++it)
      if (it->range.size() != 0) function.code.follow(it->range.start);
  }

  // ---- step 4. False: there is no site and nothing that could become one.
  bool collect_references() {
    std::vector<std::uint64_t> sites;
    std::vector<std::pair<Function*, Range>> unreached;
    for (auto& [start, function] : functions_) {
      for (const std::uint64_t candidate : function->candidates) {
        if (function->code.at(candidate) == nullptr && function->code.reached(candidate)) continue;
        sites.push_back(candidate);
        references_->watch({candidate - std::min<std::uint64_t>(candidate, abi::kMaxDisplaced),
                            candidate + abi::kMaxDisplaced});
        if (function->code.at(candidate) == nullptr)
          unreached.emplace_back(function.get(), hole_around(function->code, candidate));
      }
    }
    if (sites.empty()) return false;
    for (const auto& [function, hole] : unreached) references_->watch(hole);

    references_->scan_far();
    for (const auto& [function, hole] : unreached)
      for (std::uint64_t at = hole.start; at < hole.end; ++at)
        if (references_->has(at)) function->code.try_follow(at);

    references_->add_starts(*unwind_, symbols_);
    for (const std::uint64_t pad : landing_pads_) references_->add(pad);
    std::ranges::sort(sites);
    for (const std::uint64_t site : sites) references_->scan_near(site, *unwind_, symbols_);
    for (const auto& [start, function] : functions_)
      for (const std::uint64_t reference : function->code.references()) references_->add(reference);
    return true;
  }

  static Range hole_around(const FunctionCode& code, std::uint64_t candidate) {
    Range hole{candidate, candidate + 1};
    while (hole.start > code.range().start && !code.reached(hole.start - 1)) --hole.start;
    while (hole.end < code.range().end && !code.reached(hole.end)) ++hole.end;
    return hole;
  }

  // ---- step 5
  void choose_all() {
    std::vector<std::pair<std::uint64_t, const Function*>> candidates;
    for (const auto& [start, function] : functions_)
      for (const std::uint64_t candidate : function->candidates)
        candidates.emplace_back(candidate, function.get());
    std::ranges::sort(candidates);
    const Chooser chooser(file_, *references_);
    std::uint64_t free_from = 0;
    for (const auto& [site, function] : candidates) {
      const Instruction* instruction = function->code.at(site);
      if (instruction == nullptr || instruction->flow != Flow::kSyscall) {
        if (!function->code.reached(site)) note_unreached(*function, site);
      } else if (const auto reason = refuse(*function, site)) {
        plan_.refused.push_back({site, *reason});
      } else if (const auto chosen = chooser.choose(function->code, site, free_from);
                 chosen && (!is_sigreturn(*function, site) || abi::is_signal_trampoline(*chosen))) {
        plan_.sites.push_back(*chosen);
        free_from = site + kSyscallBytes + chosen->after;
      } else {
        plan_.refused.push_back({site, is_sigreturn(*function, site) ? Refusal::kSignalTrampoline
                                                                     : Refusal::kNoRoom});
      }
    }
  }

  void note_unreached(const Function& function, std::uint64_t site) {
    if (function.signal_frame) {
      plan_.refused.push_back({site, Refusal::kSignalTrampoline});
    } else if (function.code.valid()) {
      ++plan_.outside_of_code;
    } else {
      plan_.refused.push_back({site, Refusal::kUndecodable});
    }
  }

  static bool is_sigreturn(const Function& function, std::uint64_t site) {
    const Instruction* previous = function.code.ending_at(site);
    return previous != nullptr && previous->immediate == kRtSigreturn;
  }

  static std::optional<Refusal> refuse(const Function& function, std::uint64_t site) {
    // Unwinders and debuggers know such a function, but not by bytes that is_signal_trampoline knows.
    if (function.signal_frame && !is_sigreturn(function, site)) return Refusal::kSignalTrampoline;
    if (!function.code.valid() || !function.readable) return Refusal::kUndecodable;
    if (function.code.unresolved_jump()) return Refusal::kUnresolvedJump;
    return std::nullopt;
  }

  const ElfFile& file_;
  Plan plan_;
  std::optional<UnwindTable> unwind_;
  std::vector<Symbol> symbols_;
  std::optional<References> references_;
  std::map<std::uint64_t, std::unique_ptr<Function>> functions_;  // by start
  std::vector<std::uint64_t> landing_pads_;
};

}  // namespace

const char* describe(Refusal reason) {
  switch (reason) {
    case Refusal::kUndecodable:
      return "its function cannot be decoded";
    case Refusal::kUnresolvedJump:
      return "its function has jumps to unknown places";
    case Refusal::kNoRoom:
      return "nothing around it may be moved";
    case Refusal::kSignalTrampoline:
      return "signal trampoline";
  }
  return "";
}

std::vector<std::uint8_t> Plan::serialize() const {
  abi::PlanHeader header{};
  header.magic = abi::kPlanMagic;
  header.version = abi::kPlanVersion;
  header.sites = static_cast<std::uint32_t>(sites.size());
  header.unpatchable = static_cast<std::uint32_t>(std::ranges::count_if(
      refused, [](const RefusedSite& r) { return r.reason != Refusal::kSignalTrampoline; }));
  header.build_id_bytes = static_cast<std::uint32_t>(build_id.size());
  std::ranges::copy(build_id, header.build_id);
  header.file_size = identity.size;
  header.cpuid_sites = static_cast<std::uint32_t>(cpuid_sites.size());
  header.cpuid_unknown = cpuid_unknown;
  std::vector<std::uint8_t> bytes(sizeof header);
  const auto append = [&bytes](const auto& records) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(records.data());
    bytes.insert(bytes.end(), from, from + records.size() * sizeof records[0]);
  };
  append(sites);
  append(cpuid_sites);
  header.checksum = abi::plan_checksum(bytes.data() + sizeof header, bytes.size() - sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

Plan make_plan(const ElfFile& file) {
  return Planner(file).run();
}

Result<Plan> make_plan(const std::string& path) {
  CAIRN_ASSIGN(const ElfFile file, ElfFile::open(path));
  return make_plan(file);
}

}  // namespace cairn::patch
