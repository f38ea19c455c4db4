#include "patch/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/fd.h"

namespace cairn::patch {

template <class T>
std::optional<T> ElfFile::read(std::uint64_t offset) const {
  if (offset > file_.size() || file_.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file_.data() + offset, sizeof value);
  return value;
}

ElfFile::ElfFile(ElfFile&& other) noexcept {
  *this = std::move(other);
}

ElfFile& ElfFile::operator=(ElfFile&& other) noexcept {
  if (this == &other) return *this;
  std::swap(file_, other.file_);
  segments_ = std::move(other.segments_);
  build_id_ = std::move(other.build_id_);
  identity_ = other.identity_;
  eh_frame_hdr_ = other.eh_frame_hdr_;
  dynamic_ = other.dynamic_;
  entry_ = other.entry_;
  section_headers_ = other.section_headers_;
  section_count_ = other.section_count_;
  section_names_ = other.section_names_;
  fixed_address_ = other.fixed_address_;
  return *this;
}

ElfFile::~ElfFile() {
  if (!file_.empty()) ::munmap(const_cast<std::uint8_t*>(file_.data()), file_.size());
}

Result<ElfFile> ElfFile::open(const std::string& path) {
  // O_NONBLOCK: the path may name a FIFO.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return os_failure("open", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_failure("stat", path);
  if (!S_ISREG(status.st_mode)) return refusal("not a regular file:", path);
  if (status.st_size < static_cast<off_t>(sizeof(Elf64_Ehdr)))
    return refusal("not an ELF file:", path);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (map == MAP_FAILED) return os_failure("map", path);
  ElfFile file;
  file.file_ = {static_cast<const std::uint8_t*>(map), size};
  file.identity_ = {status.st_dev, status.st_ino, size,
                    static_cast<std::uint64_t>(status.st_mtim.tv_sec),
                    static_cast<std::uint64_t>(status.st_mtim.tv_nsec)};
  CAIRN_TRY(file.read_headers(path));
  return file;
}

Result<> ElfFile::read_headers(const std::string& path) {
  const auto header = *read<Elf64_Ehdr>(0);
  const bool ours = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                    header.e_ident[EI_CLASS] == ELFCLASS64 &&
                    header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_X86_64 &&
                    (header.e_type == ET_EXEC || header.e_type == ET_DYN) &&
                    header.e_phentsize == sizeof(Elf64_Phdr);
  if (!ours) return refusal("not an x86-64 ELF program or library:", path);
  fixed_address_ = header.e_type == ET_EXEC;
  entry_ = header.e_entry;
  section_headers_ = header.e_shentsize == sizeof(Elf64_Shdr) ? header.e_shoff : 0;
  section_count_ = section_headers_ != 0 ? header.e_shnum : 0;
  section_names_ = header.e_shstrndx;

  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto ph = read<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    if (!ph) return refusal("truncated program headers in", path);
    if (ph->p_type == PT_GNU_EH_FRAME) eh_frame_hdr_ = ph->p_vaddr;
    if (ph->p_type == PT_DYNAMIC) dynamic_ = ph->p_vaddr;
    if (ph->p_type == PT_NOTE) read_notes(ph->p_offset, ph->p_filesz);
    if (ph->p_type != PT_LOAD || ph->p_filesz == 0) continue;
    if (ph->p_offset > file_.size() || file_.size() - ph->p_offset < ph->p_filesz ||
        ph->p_vaddr + ph->p_filesz < ph->p_vaddr)
      return refusal("truncated segment in", path);
    segments_.push_back({{ph->p_vaddr, ph->p_vaddr + ph->p_filesz},
                         file_.subspan(ph->p_offset, ph->p_filesz),
                         (ph->p_flags & PF_X) != 0});
  }
  std::ranges::sort(segments_, {}, [](const Segment& s) { return s.range.start; });
  return {};
}

void ElfFile::read_notes(std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t end = std::min<std::uint64_t>(offset + bytes, file_.size());
  while (build_id_.empty() && offset < end) {
    const auto note = read<Elf64_Nhdr>(offset);
    if (!note) return;
    const std::uint64_t name = offset + sizeof(Elf64_Nhdr);
    const std::uint64_t desc = name + ((note->n_namesz + 3ULL) & ~3ULL);
    const std::uint64_t next = desc + ((note->n_descsz + 3ULL) & ~3ULL);
    if (next > end) return;
    if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz > 0 &&
        note->n_descsz <= 32 && std::memcmp(file_.data() + name, "GNU", 4) == 0)
      build_id_.assign(file_.data() + desc, file_.data() + desc + note->n_descsz);
    offset = next;
  }
}

std::span<const std::uint8_t> ElfFile::from(std::uint64_t address) const {
  for (const auto& segment : segments_)
    if (segment.range.contains(address))
      return segment.bytes.subspan(address - segment.range.start);
  return {};
}

const Segment* ElfFile::executable_at(std::uint64_t address) const {
  for (const auto& segment : segments_)
    if (segment.executable && segment.range.contains(address)) return &segment;
  return nullptr;
}

std::optional<Range> ElfFile::section(std::string_view name) const {
  const auto names = read<Elf64_Shdr>(section_headers_ + section_names_ * sizeof(Elf64_Shdr));
  if (section_count_ == 0 || !names) return std::nullopt;
  for (unsigned i = 0; i < section_count_; ++i) {
    const auto sh = read<Elf64_Shdr>(section_headers_ + i * sizeof(Elf64_Shdr));
    if (!sh) return std::nullopt;
    const std::uint64_t at = names->sh_offset + sh->sh_name;
    if (at > file_.size() || file_.size() - at <= name.size()) continue;
    if (std::memcmp(file_.data() + at, name.data(), name.size()) == 0 &&
        file_[at + name.size()] == 0)
      return Range{sh->sh_addr, sh->sh_addr + sh->sh_size};
  }
  return std::nullopt;
}

void ElfFile::add_symbols(std::uint64_t offset, std::uint64_t bytes,
                          std::vector<Symbol>* out) const {
  for (std::uint64_t at = offset; at + sizeof(Elf64_Sym) <= offset + bytes;
       at += sizeof(Elf64_Sym)) {
    const auto symbol = read<Elf64_Sym>(at);
    if (!symbol) return;
    const unsigned type = ELF64_ST_TYPE(symbol->st_info);
    const bool code = type == STT_FUNC || type == STT_NOTYPE || type == STT_GNU_IFUNC;
    if (!code || symbol->st_shndx == SHN_UNDEF || executable_at(symbol->st_value) == nullptr)
      continue;
    out->push_back({{symbol->st_value, symbol->st_value + symbol->st_size}});
  }
}

// Where section headers are stripped: the dynamic symbols reach up to the strings, as every linker
// lays them out; nothing in the file states their number.
std::optional<Range> ElfFile::dynamic_symbols() const {
  auto bytes = from(dynamic_);
  std::uint64_t symbols = 0;
  std::uint64_t strings = 0;
  for (; bytes.size() >= sizeof(Elf64_Dyn); bytes = bytes.subspan(sizeof(Elf64_Dyn))) {
    Elf64_Dyn dyn;
    std::memcpy(&dyn, bytes.data(), sizeof dyn);
    if (dyn.d_tag == DT_NULL) break;
    if (dyn.d_tag == DT_SYMTAB) symbols = dyn.d_un.d_ptr;
    if (dyn.d_tag == DT_STRTAB) strings = dyn.d_un.d_ptr;
  }
  const auto table = from(symbols);
  if (symbols == 0 || strings <= symbols || table.size() < strings - symbols) return std::nullopt;
  const auto offset = static_cast<std::uint64_t>(table.data() - file_.data());
  return Range{offset, offset + (strings - symbols)};
}

std::vector<Symbol> ElfFile::code_symbols() const {
  std::vector<Symbol> symbols;
  for (unsigned i = 0; i < section_count_; ++i) {
    const auto sh = read<Elf64_Shdr>(section_headers_ + i * sizeof(Elf64_Shdr));
    if (sh && (sh->sh_type == SHT_SYMTAB || sh->sh_type == SHT_DYNSYM))
      add_symbols(sh->sh_offset, sh->sh_size, &symbols);
  }
  if (section_count_ == 0 && dynamic_ != 0)
    if (const auto range = dynamic_symbols()) add_symbols(range->start, range->size(), &symbols);
  std::ranges::sort(symbols, {}, [](const Symbol& s) { return s.range.start; });
  return symbols;
}

}  // namespace cairn::patch
