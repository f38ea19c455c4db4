#include "resources/environment.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "abi/arena.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostEntries = 1U << 16;
constexpr std::uint64_t kMostText = 1U << 17;       // MAX_ARG_STRLEN
constexpr std::uint64_t kMostData = 256ULL << 20;   // of the writable data that is looked through
constexpr std::uint64_t kRoomAround = 64ULL << 20;  // of the new piece of memory

using Array = std::vector<std::uint64_t>;  // without its null

// The program's memory, as far as it is looked at here.
class Memory {
 public:
  explicit Memory(RebuildContext& context) : context_(context) {}

  [[nodiscard]] const image::MemoryRegion* region(std::uint64_t address) const {
    for (const auto& region : context_.image.regions())
      if (address - region.start() < region.length()) return &region;
    return nullptr;
  }
  [[nodiscard]] bool holds(std::uint64_t address, int protection) const {
    const auto* found = region(address);
    return found != nullptr && (found->protection() & static_cast<unsigned>(protection)) != 0;
  }

  Result<std::string> bytes(std::uint64_t address, std::uint64_t count) {
    std::string text(count, '\0');
    CAIRN_TRY(context_.process.read(address, std::as_writable_bytes(std::span(text))));
    return text;
  }

  // Up to its NUL; nothing if there is none within the region.
  std::optional<std::string> text(std::uint64_t address) {
    const auto* found = region(address);
    if (found == nullptr || !(found->protection() & PROT_READ)) return std::nullopt;
    const std::uint64_t room = found->start() + found->length() - address;
    for (std::uint64_t some = 256;; some = kMostText) {
      const auto read = bytes(address, std::min(some, room));
      if (!read) return std::nullopt;
      const auto end = read->find('\0');
      if (end != std::string::npos) return read->substr(0, end);
      if (some >= std::min(room, kMostText)) return std::nullopt;
    }
  }

  // A null-terminated array of pointers.
  std::optional<Array> array(std::uint64_t address) {
    const auto* found = region(address);
    if (found == nullptr || address % 8 != 0 || !(found->protection() & PROT_READ))
      return std::nullopt;
    const std::uint64_t room = (found->start() + found->length() - address) / 8;
    for (std::uint64_t some = 128;; some *= 8) {
      const std::uint64_t count = std::min({some, room, kMostEntries});
      const auto read = bytes(address, count * 8);
      if (!read) return std::nullopt;
      Array entries(count);
      std::memcpy(entries.data(), read->data(), read->size());
      const auto end = std::find(entries.begin(), entries.end(), 0U);
      if (end != entries.end()) return Array(entries.begin(), end);
      if (count < some) return std::nullopt;
    }
  }

 private:
  RebuildContext& context_;
};

bool is_variable(const std::string& assignment, const std::string& name) {
  return assignment.size() > name.size() && assignment.starts_with(name) &&
         assignment[name.size()] == '=';
}

class Renewal {
 public:
  explicit Renewal(RebuildContext& context) : context_(context), memory_(context) {}

  Result<> find();
  Result<> change(const Variable& variable);

 private:
  struct Environment {
    std::uint64_t address;
    std::vector<std::uint64_t> variables;  // where pointers to it are: `environ`
    Array entries;
  };
  Result<> find_initial();
  Result<> look_through(const image::MemoryRegion& region);
  void add_if_environment(std::uint64_t array, std::uint64_t variable);
  Result<> change_in(Environment& environment, const Variable& variable);
  Result<std::uint64_t> place(const std::string& text, std::uint64_t bytes);
  Result<> write_array(Environment& environment, bool longer);

  RebuildContext& context_;
  Memory memory_;
  std::vector<Environment> environments_;  // the initial one first
  std::uint64_t new_at_ = 0;
  std::uint64_t new_left_ = 0;
};

// argc, argv, null, envp: as the program was started.
Result<> Renewal::find_initial() {
  const std::uint64_t start = context_.image.layout().start_stack();
  CAIRN_ASSIGN(const auto count, context_.process.read_object<std::uint64_t>(start));
  const std::uint64_t at = start + 8 * (count + 2);
  if (count > kMostEntries || !memory_.array(at))
    return refusal("the program's environment is not where it was at its start: --env");
  environments_.push_back({at, {}, *memory_.array(at)});
  return {};
}

// An array all of whose entries are assignments, some of them those of the start.
void Renewal::add_if_environment(std::uint64_t array, std::uint64_t variable) {
  for (auto& known : environments_)
    if (known.address == array) return known.variables.push_back(variable);
  const auto first = memory_.holds(array, PROT_WRITE) ? memory_.array(array) : std::nullopt;
  if (!first || first->empty()) return;
  const Array& initial = environments_.front().entries;
  const auto shared = std::count_if(first->begin(), first->end(), [&](std::uint64_t entry) {
    return std::find(initial.begin(), initial.end(), entry) != initial.end();
  });
  if (shared == 0) return;
  for (const std::uint64_t entry : *first) {
    const auto text = memory_.text(entry);
    if (!text || text->find('=') == std::string::npos) return;
  }
  environments_.push_back({array, {variable}, *first});
}

Result<> Renewal::look_through(const image::MemoryRegion& region) {
  CAIRN_ASSIGN(const auto bytes, memory_.bytes(region.start(), region.length()));
  for (std::uint64_t at = 0; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if (word != 0 && word % 8 == 0 && memory_.region(word) != nullptr)
      add_if_environment(word, region.start() + at);
  }
  return {};
}

// Data of programs and libraries, and what follows it without a file.
Result<> Renewal::find() {
  CAIRN_TRY(find_initial());
  std::uint64_t end_of_file_data = 0;
  std::uint64_t looked = 0;
  for (const auto& region : context_.image.regions()) {
    const bool writable = (region.protection() & PROT_WRITE) && (region.protection() & PROT_READ);
    const bool of_file = region.kind() == image::MemoryRegion::PRIVATE_FILE;
    const bool bss = region.kind() == image::MemoryRegion::PRIVATE_ANONYMOUS &&
                     region.start() == end_of_file_data;
    if (of_file || bss) end_of_file_data = region.start() + region.length();
    if (!writable || (!of_file && !bss) || looked + region.length() > kMostData) continue;
    looked += region.length();
    CAIRN_TRY(look_through(region));
  }
  return {};
}

// A new piece of the program's memory, where nothing of it grows.
Result<std::uint64_t> Renewal::place(const std::string& text, std::uint64_t bytes) {
  const std::uint64_t needed = (bytes + 15) & ~15ULL;
  if (needed > new_left_) {
    const std::uint64_t length = (std::max(needed, 16 * kPage) + kPage - 1) / kPage * kPage;
    std::uint64_t at = 0;
    const auto& regions = context_.image.regions();
    for (int i = 0; i < regions.size() && at == 0; ++i) {
      const std::uint64_t end = std::max(regions[i].start() + regions[i].length(), new_at_);
      const std::uint64_t next = i + 1 < regions.size() ? regions[i + 1].start() : 0;
      if (end >= abi::kArenaEnd && next >= end + 2 * kRoomAround + length) at = end + kRoomAround;
    }
    if (at == 0) return refusal("there is no room for new variables in the program's memory");
    CAIRN_TRY(context_.process.syscall(SYS_mmap, at, length, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    new_at_ = at;
    new_left_ = length;
  }
  const std::uint64_t here = new_at_;
  new_at_ += needed;
  new_left_ -= needed;
  CAIRN_TRY(context_.process.write(here, std::as_bytes(std::span(text))));
  return here;
}

Result<> Renewal::write_array(Environment& environment, bool longer) {
  Array whole = environment.entries;
  whole.push_back(0);
  const auto bytes = std::as_bytes(std::span(whole));
  if (!longer) return context_.process.write(environment.address, bytes);
  if (environment.variables.empty()) return {};  // nobody looks there any more
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  CAIRN_ASSIGN(environment.address, place(text, text.size()));
  for (const std::uint64_t variable : environment.variables)
    CAIRN_TRY(context_.process.write_object(variable, environment.address));
  return {};
}

Result<> Renewal::change_in(Environment& environment, const Variable& variable) {
  auto& entries = environment.entries;
  const auto found = std::find_if(entries.begin(), entries.end(), [&](std::uint64_t entry) {
    const auto text = memory_.text(entry);
    return text && is_variable(*text, variable.name);
  });
  if (!variable.value) {
    if (found == entries.end()) return {};
    entries.erase(found);
    return write_array(environment, false);
  }
  const std::string assignment = variable.name + "=" + *variable.value;
  const std::string with_end(assignment.c_str(), assignment.size() + 1);
  if (found == entries.end()) {
    CAIRN_ASSIGN(const auto at, place(with_end, with_end.size()));
    entries.push_back(at);
    return write_array(environment, true);
  }
  const auto before = memory_.text(*found);
  if (before && before->size() >= assignment.size() && memory_.holds(*found, PROT_WRITE)) {
    const std::string padded =
        assignment + std::string(before->size() - assignment.size() + 1, '\0');
    return context_.process.write(*found, std::as_bytes(std::span(padded)));
  }
  CAIRN_ASSIGN(*found, place(with_end, with_end.size()));
  return write_array(environment, false);
}

Result<> Renewal::change(const Variable& variable) {
  for (auto& environment : environments_) CAIRN_TRY(change_in(environment, variable));
  return {};
}

}  // namespace

Result<> renew_environment(RebuildContext& context, std::span<const Variable> variables) {
  if (variables.empty()) return {};
  Renewal renewal(context);
  CAIRN_TRY(renewal.find());
  for (const auto& variable : variables) CAIRN_TRY(renewal.change(variable));
  return {};
}

}  // namespace cairn::resources
