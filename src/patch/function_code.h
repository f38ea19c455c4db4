#pragma once
// The instructions of one function, found by following control from its start: what no path reaches
// is not taken for code, so data between the instructions is never mistaken for a syscall.

#include <cstdint>
#include <set>
#include <vector>

#include "patch/elf_file.h"
#include "patch/instruction.h"

namespace cairn::patch {

class FunctionCode {
 public:
  FunctionCode(const ElfFile& file, Range range);

  // Follows control from `root`, jump tables included. After a failure valid() is false.
  void follow(std::uint64_t root);
  // The same for a root that may be none, without jump tables; false leaves everything as it was.
  bool try_follow(std::uint64_t root);

  // False: some path leads to bytes that are no instruction, or into the middle of another one.
  [[nodiscard]] bool valid() const { return valid_; }
  // There are computed jumps, and no jump table was found for them.
  [[nodiscard]] bool unresolved_jump() const { return indirect_ && !table_found_; }
  [[nodiscard]] const Range& range() const { return range_; }
  [[nodiscard]] bool reached(std::uint64_t address) const;  // lies inside a followed instruction
  // The followed instruction that starts, or ends, there; nullptr if there is none.
  [[nodiscard]] const Instruction* at(std::uint64_t address) const;
  [[nodiscard]] const Instruction* ending_at(std::uint64_t address) const;
  // Everything that some instruction refers to: branch and table targets, addresses taken.
  [[nodiscard]] const std::vector<std::uint64_t>& references() const { return references_; }

 private:
  void descend();
  [[nodiscard]] bool joins(std::uint64_t at) const;
  void add(const Instruction& instruction);
  void read_tables();
  template <class Entry>
  void read_table(std::uint64_t table, std::uint64_t base);
  void push(std::uint64_t address) {
    if (range_.contains(address)) pending_.push_back(address);
  }

  const ElfFile* file_;
  Range range_;
  std::span<const std::uint8_t> bytes_;
  std::vector<Instruction> instructions_;
  std::vector<std::uint32_t> index_;  // per byte: 0 not reached, else 1 + index of its instruction
  std::vector<std::uint64_t> pending_;
  std::vector<std::uint64_t> references_;
  std::vector<std::uint64_t> unread_tables_;  // addresses taken, which may be those of jump tables
  std::set<std::uint64_t> tables_read_;
  bool valid_ = true;
  bool indirect_ = false;
  bool table_found_ = false;
};

}  // namespace cairn::patch
