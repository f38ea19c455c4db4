#include "patch/function_code.h"

#include <algorithm>
#include <cstring>

namespace cairn::patch {
namespace {
constexpr std::uint64_t kLongestInstruction = 15;
constexpr std::uint64_t kLongestTable = 8192;  // entries
}  // namespace

FunctionCode::FunctionCode(const ElfFile& file, Range range) : file_(&file), range_(range) {
  bytes_ = file.from(range.start);
  range_.end = std::min(range_.end, range_.start + bytes_.size());
  index_.resize(range_.size());
}

void FunctionCode::follow(std::uint64_t root) {
  push(root);
  descend();
  if (valid_) read_tables();
}

bool FunctionCode::try_follow(std::uint64_t root) {
  if (!valid_ || !range_.contains(root)) return false;
  if (at(root) != nullptr) return true;
  const std::size_t instructions = instructions_.size();
  const std::size_t references = references_.size();
  const bool indirect = indirect_;
  push(root);
  descend();
  if (valid_) return true;
  for (std::size_t i = instructions; i < instructions_.size(); ++i)
    for (std::uint64_t at = instructions_[i].address; at < instructions_[i].end(); ++at)
      if (index_[at - range_.start] == i + 1) index_[at - range_.start] = 0;
  instructions_.resize(instructions);
  references_.resize(references);
  pending_.clear();
  indirect_ = indirect;
  valid_ = true;
  return false;
}

// glibc jumps over lock prefixes: control may enter an instruction behind its first byte, if it
// leaves it where everybody else does. The whole of it stays where it is then.
bool FunctionCode::joins(std::uint64_t at) const {
  const Instruction& around = instructions_[index_[at - range_.start] - 1];
  if (around.address == at) return true;
  const auto inner = decode(bytes_.subspan(at - range_.start, around.end() - at), at);
  return inner && inner->end() == around.end() && bytes_[at - 1 - range_.start] == 0xf0;
}

void FunctionCode::descend() {
  while (valid_ && !pending_.empty()) {
    std::uint64_t at = pending_.back();
    pending_.pop_back();
    while (valid_ && range_.contains(at)) {
      const std::uint64_t offset = at - range_.start;
      if (index_[offset] != 0) {
        valid_ = joins(at);
        break;
      }
      // Bytes behind the range may belong to its last instruction only if the bounds are wrong.
      const auto window = bytes_.subspan(offset, std::min(kLongestInstruction, range_.end - at));
      const auto instruction = decode(window, at);
      if (!instruction) {
        valid_ = false;
        break;
      }
      add(*instruction);
      at = instruction->end();
      if (!instruction->falls_through()) break;
    }
  }
}

void FunctionCode::add(const Instruction& instruction) {
  instructions_.push_back(instruction);
  const auto index = static_cast<std::uint32_t>(instructions_.size());
  const std::uint64_t offset = instruction.address - range_.start;
  for (std::uint64_t i = offset; i < offset + instruction.length; ++i) {
    if (index_[i] == 0) {
      index_[i] = index;
      continue;
    }
    // Met from behind its lock prefix before.
    Instruction& inner = instructions_[index_[i] - 1];
    inner.movable = false;
    if (i != offset + 1 || bytes_[offset] != 0xf0 || inner.end() != instruction.end())
      valid_ = false;
    break;
  }
  if (instruction.target != 0) {
    references_.push_back(instruction.target);
    if (instruction.flow != Flow::kCall) push(instruction.target);
  }
  if (instruction.data_reference != 0) {
    references_.push_back(instruction.data_reference);
    if (instruction.takes_address) unread_tables_.push_back(instruction.data_reference);
  }
  if (instruction.flow == Flow::kIndirectJump) indirect_ = true;
}

// Whatever address a function with computed jumps takes may be that of a table of code addresses,
// as offsets from the table (position-independent code) or absolute.
void FunctionCode::read_tables() {
  if (!indirect_) return;
  while (!unread_tables_.empty()) {
    const std::uint64_t table = unread_tables_.back();
    unread_tables_.pop_back();
    if (!tables_read_.insert(table).second) continue;
    read_table<std::int32_t>(table, table);
    read_table<std::int64_t>(table, 0);
  }
}

// Nothing says where a table ends; the next table follows at once, and its entries, taken from the
// wrong base, lead anywhere. They all count as referred to; control is followed only up to the
// first that contradicts what is known.
template <class Entry>
void FunctionCode::read_table(std::uint64_t table, std::uint64_t base) {
  const auto bytes = file_->from(table);
  bool plausible = true;
  for (std::uint64_t i = 0; i < kLongestTable && (i + 1) * sizeof(Entry) <= bytes.size(); ++i) {
    Entry entry;
    std::memcpy(&entry, bytes.data() + i * sizeof entry, sizeof entry);
    const std::uint64_t target = base + static_cast<std::uint64_t>(std::int64_t{entry});
    if (file_->executable_at(target) == nullptr) return;
    references_.push_back(target);
    if (!range_.contains(target) || !plausible) continue;
    plausible = try_follow(target);
    table_found_ = table_found_ || plausible;
  }
}

bool FunctionCode::reached(std::uint64_t address) const {
  return range_.contains(address) && index_[address - range_.start] != 0;
}

const Instruction* FunctionCode::at(std::uint64_t address) const {
  if (!reached(address)) return nullptr;
  const Instruction& instruction = instructions_[index_[address - range_.start] - 1];
  return instruction.address == address ? &instruction : nullptr;
}

const Instruction* FunctionCode::ending_at(std::uint64_t address) const {
  if (!reached(address - 1)) return nullptr;
  const Instruction& instruction = instructions_[index_[address - 1 - range_.start] - 1];
  return instruction.end() == address ? &instruction : nullptr;
}

}  // namespace cairn::patch
