#pragma once
// Function bounds and landing pads from .eh_frame: present in nearly every file, stripped or not,
// because unwinding through C libraries needs it.

#include <cstdint>
#include <optional>
#include <vector>

#include "patch/elf_file.h"

namespace cairn::patch {

struct UnwindEntry {
  Range range;
  bool signal_frame = false;  // augmentation 'S': a signal trampoline
  std::uint64_t lsda = 0;     // language-specific data: where landing pads are listed
};

class UnwindTable {
 public:
  // .eh_frame_hdr by its program header, else .eh_frame by its section (static glibc has only
  // that).
  static UnwindTable load(const ElfFile& file);

  [[nodiscard]] std::optional<UnwindEntry> containing(std::uint64_t address) const;
  [[nodiscard]] std::optional<UnwindEntry> last_before(std::uint64_t address) const;
  // Start of the first entry behind `address`; UINT64_MAX if there is none.
  [[nodiscard]] std::uint64_t next_start(std::uint64_t address) const;
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  template <class Visit>
  void for_each_start(const Visit& visit) const {
    for (const auto& entry : entries_) visit(entry.start);
  }
  // Landing pads of the entry; nullopt if its table cannot be read.
  [[nodiscard]] std::optional<std::vector<std::uint64_t>> landing_pads(
      const UnwindEntry& entry) const;

 private:
  struct Located {
    std::uint64_t start;
    std::uint64_t fde;  // address of the FDE
  };
  explicit UnwindTable(const ElfFile& file) : file_(&file) {}
  bool load_header(std::uint64_t hdr);
  void walk(std::uint64_t eh_frame);
  [[nodiscard]] std::optional<UnwindEntry> parse(std::uint64_t fde) const;

  const ElfFile* file_;
  std::vector<Located> entries_;  // by start
};

}  // namespace cairn::patch
