#pragma once
// Which addresses near the syscall sites something in the file refers to. Whoever moves
// instructions must know this, and must rather believe too much than too little.

#include <cstdint>
#include <vector>

#include "patch/elf_file.h"
#include "patch/unwind_table.h"

namespace cairn::patch {

// A set of addresses in the executable segments, one bit each.
class CodeAddressSet {
 public:
  explicit CodeAddressSet(const ElfFile& file);
  void insert(std::uint64_t address);
  [[nodiscard]] bool contains(std::uint64_t address) const;

 private:
  struct Part {
    Range range;
    std::vector<std::uint64_t> words;
  };
  std::vector<Part> parts_;
};

class References {
 public:
  explicit References(const ElfFile& file) : file_(&file), watched_(file), referred_(file) {}

  // Only addresses that are watched are recorded; watch before scanning.
  void watch(Range range);
  void add(std::uint64_t address) {
    if (watched_.contains(address)) referred_.insert(address);
  }
  [[nodiscard]] bool has(std::uint64_t address) const { return referred_.contains(address); }
  // A reference strictly inside the range, its first byte excepted.
  [[nodiscard]] bool inside(Range range) const;

  // Starts of unwind entries, symbols, the program's entry.
  void add_starts(const UnwindTable& unwind, const std::vector<Symbol>& symbols);
  // All 32-bit branches, calls and leas of all code, found at every byte, and all words of data
  // that could be addresses (relocation addends among them).
  void scan_far();
  // Short branches of the code around `site`; call with ascending sites.
  void scan_near(std::uint64_t site, const UnwindTable& unwind, const std::vector<Symbol>& symbols);

 private:
  void scan_code(const Segment& segment);
  void scan_words(const Segment& segment);

  const ElfFile* file_;
  CodeAddressSet watched_;
  CodeAddressSet referred_;
  std::uint64_t scanned_until_ = 0;
};

}  // namespace cairn::patch
