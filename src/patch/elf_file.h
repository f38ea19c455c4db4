#pragma once
// An ELF64 x86-64 file as the planner sees it: bytes by linked address, bounds-checked, whatever
// the headers claim. Section headers are used where they exist and never needed.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cairn::patch {

struct Range {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool contains(std::uint64_t address) const {
    return address >= start && address < end;
  }
  [[nodiscard]] std::uint64_t size() const { return end - start; }
};

struct Segment {
  Range range;  // linked addresses of the bytes that are in the file
  std::span<const std::uint8_t> bytes;
  bool executable = false;
};

struct Symbol {
  Range range;  // empty where the symbol has no size
};

// What names a file's plan where it has no build-id: changes whenever the file does.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint64_t mtime_seconds = 0;
  std::uint64_t mtime_nanoseconds = 0;
};

class ElfFile {
 public:
  static Result<ElfFile> open(const std::string& path);
  ElfFile(ElfFile&& other) noexcept;
  ElfFile& operator=(ElfFile&& other) noexcept;
  ~ElfFile();

  [[nodiscard]] std::span<const Segment> segments() const { return segments_; }
  // From `address` to the end of its segment; empty where nothing is mapped.
  [[nodiscard]] std::span<const std::uint8_t> from(std::uint64_t address) const;
  [[nodiscard]] const Segment* executable_at(std::uint64_t address) const;
  [[nodiscard]] bool fixed_address() const { return fixed_address_; }
  [[nodiscard]] std::uint64_t entry() const { return entry_; }
  [[nodiscard]] std::uint64_t eh_frame_hdr() const { return eh_frame_hdr_; }  // 0: none
  [[nodiscard]] std::optional<Range> section(std::string_view name) const;
  // Functions and labels of .symtab and .dynsym that lie in executable segments.
  [[nodiscard]] std::vector<Symbol> code_symbols() const;
  [[nodiscard]] std::span<const std::uint8_t> build_id() const { return build_id_; }
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }

 private:
  ElfFile() = default;
  Result<> read_headers(const std::string& path);
  void read_notes(std::uint64_t offset, std::uint64_t bytes);
  void add_symbols(std::uint64_t offset, std::uint64_t bytes, std::vector<Symbol>* out) const;
  std::optional<Range> dynamic_symbols() const;
  template <class T>
  [[nodiscard]] std::optional<T> read(std::uint64_t offset) const;

  std::span<const std::uint8_t> file_;
  std::vector<Segment> segments_;
  std::vector<std::uint8_t> build_id_;
  FileIdentity identity_;
  std::uint64_t eh_frame_hdr_ = 0;
  std::uint64_t dynamic_ = 0;
  std::uint64_t entry_ = 0;
  std::uint64_t section_headers_ = 0;
  std::uint16_t section_count_ = 0;
  std::uint16_t section_names_ = 0;
  bool fixed_address_ = false;
};

}  // namespace cairn::patch
