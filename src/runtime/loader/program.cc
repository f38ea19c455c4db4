#include "runtime/loader/program.h"

#include <elf.h>

#include "abi/arena.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "runtime/intercept/text.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMapPrivate = 2, kMapFixed = 0x10, kMapAnonymous = 0x20,
                        kMapFixedNoreplace = 0x100000;
constexpr std::uint64_t kProgramArea = 0x555555554000;  // where the kernel puts PIE programs
constexpr int kMaxSegments = 128;

std::uint64_t page_down(std::uint64_t x) { return x & ~(kPage - 1); }
std::uint64_t page_up(std::uint64_t x) { return (x + kPage - 1) & ~(kPage - 1); }

std::uint64_t protection(std::uint32_t flags) {
  return ((flags & PF_R) != 0 ? 1 : 0) | ((flags & PF_W) != 0 ? 2 : 0) | ((flags & PF_X) != 0 ? 4 : 0);
}

sys::SysResult read_at(int fd, void* to, std::uint64_t bytes, std::uint64_t offset) {
  auto got = sys::call(__NR_pread64, static_cast<std::uint64_t>(fd), sys::address(to), bytes, offset);
  if (got.ok() && got.value() != bytes) return {-kENOEXEC};
  return got;
}

// "#! interpreter [argument]", as fs/binfmt_script.c reads it: blanks around both are dropped and
// everything behind the first blank is one argument.
void parse_script(const char* text, std::uint64_t bytes, ProgramFile* file) {
  std::uint64_t end = 2;
  while (end < bytes && text[end] != '\n' && text[end] != 0) ++end;
  auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (end > 2 && blank(text[end - 1])) --end;
  std::uint64_t at = 2;
  while (at < end && blank(text[at])) ++at;
  std::uint64_t start = at;
  while (at < end && !blank(text[at])) ++at;
  std::uint64_t length = at - start;
  if (length == 0 || length >= sizeof(file->script_interpreter)) return;
  memcpy(file->script_interpreter, text + start, length);
  file->script_interpreter[length] = 0;
  while (at < end && blank(text[at])) ++at;
  length = end - at;
  if (length >= sizeof(file->script_argument)) length = sizeof(file->script_argument) - 1;
  memcpy(file->script_argument, text + at, length);
  file->script_argument[length] = 0;
  file->is_script = true;
}

bool good_header(const Elf64_Ehdr& header) {
  return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_machine == EM_X86_64 && (header.e_type == ET_EXEC || header.e_type == ET_DYN) &&
         header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum > 0 &&
         header.e_phnum <= kMaxSegments;
}

std::uint64_t random_bits(int bits) {
  std::uint64_t value = 0;
  (void)sys::call(__NR_getrandom, sys::address(&value), sizeof(value), 1 /* GRND_NONBLOCK */);
  return value & ((1ULL << bits) - 1);
}

bool randomization_off() {
  constexpr std::uint64_t kAddrNoRandomize = 0x40000;
  auto persona = sys::call(__NR_personality, 0xffffffff);
  return persona.ok() && (persona.value() & kAddrNoRandomize) != 0;
}

// A free range for the whole image, reserved PROT_NONE.
sys::SysResult reserve(std::uint64_t span, std::uint64_t alignment, bool is_interpreter) {
  std::uint64_t extra = alignment > kPage ? alignment : 0;
  if (is_interpreter) {
    return sys::call(__NR_mmap, 0, span + extra, 0, kMapPrivate | kMapAnonymous,
                     static_cast<std::uint64_t>(-1), 0);
  }
  for (int attempt = 0; attempt < 16; ++attempt) {
    std::uint64_t hint = kProgramArea + (randomization_off() ? 0 : random_bits(28) * kPage);
    auto at = sys::call(__NR_mmap, hint, span + extra, 0, kMapPrivate | kMapAnonymous | kMapFixedNoreplace,
                        static_cast<std::uint64_t>(-1), 0);
    if (at.ok() && at.value() == hint) return at;
    if (at.ok()) (void)sys::call(__NR_munmap, at.value(), span + extra);
  }
  return sys::call(__NR_mmap, 0, span + extra, 0, kMapPrivate | kMapAnonymous,
                   static_cast<std::uint64_t>(-1), 0);
}

sys::SysResult map_segment(int fd, const Elf64_Phdr& segment, std::uint64_t bias) {
  std::uint64_t start = page_down(bias + segment.p_vaddr);
  std::uint64_t shift = segment.p_vaddr & (kPage - 1);
  std::uint64_t file_end = bias + segment.p_vaddr + segment.p_filesz;
  std::uint64_t end = page_up(bias + segment.p_vaddr + segment.p_memsz);
  std::uint64_t prot = protection(segment.p_flags);
  if (segment.p_filesz != 0) {
    auto mapped = sys::call(__NR_mmap, start, page_up(file_end) - start, prot, kMapPrivate | kMapFixed,
                            static_cast<std::uint64_t>(fd), segment.p_offset - shift);
    if (!mapped.ok()) return mapped;
  }
  std::uint64_t zero_from = segment.p_filesz != 0 ? page_up(file_end) : start;
  if (end > zero_from) {
    auto mapped = sys::call(__NR_mmap, zero_from, end - zero_from, prot,
                            kMapPrivate | kMapFixed | kMapAnonymous, static_cast<std::uint64_t>(-1), 0);
    if (!mapped.ok()) return mapped;
  }
  if (segment.p_memsz > segment.p_filesz && segment.p_filesz != 0 && (segment.p_flags & PF_W) != 0)
    memset(reinterpret_cast<void*>(file_end), 0, page_up(file_end) - file_end);
  return {0};
}

void note_bounds(const Elf64_Phdr& segment, LoadedImage* image) {
  std::uint64_t start = image->bias + segment.p_vaddr;
  std::uint64_t file_end = start + segment.p_filesz;
  if ((segment.p_flags & PF_X) != 0) {
    if (image->start_code == 0 || start < image->start_code) image->start_code = start;
    if (file_end > image->end_code) image->end_code = file_end;
  }
  if (start > image->start_data) image->start_data = start;
  if (file_end > image->end_data) image->end_data = file_end;
  std::uint64_t end = page_up(start + segment.p_memsz);
  if (end > image->end) image->end = end;
}

struct Span {
  std::uint64_t low = ~0ULL, high = 0, alignment = kPage;
};

Span extent(const Elf64_Phdr* segments, int count) {
  Span span;
  for (int i = 0; i < count; ++i) {
    const Elf64_Phdr& s = segments[i];
    if (s.p_type != PT_LOAD) continue;
    if (page_down(s.p_vaddr) < span.low) span.low = page_down(s.p_vaddr);
    if (page_up(s.p_vaddr + s.p_memsz) > span.high) span.high = page_up(s.p_vaddr + s.p_memsz);
    if (s.p_align > span.alignment) span.alignment = s.p_align;
  }
  return span;
}

sys::SysResult place(const Span& span, bool is_interpreter, LoadedImage* image) {
  auto at = reserve(span.high - span.low, span.alignment, is_interpreter);
  if (!at.ok()) return at;
  std::uint64_t start = at.value();
  if (span.alignment > kPage) {
    std::uint64_t aligned = (start + span.alignment - 1) & ~(span.alignment - 1);
    std::uint64_t end = start + (span.high - span.low) + span.alignment;
    if (aligned > start) (void)sys::call(__NR_munmap, start, aligned - start);
    std::uint64_t used = aligned + (span.high - span.low);
    if (end > used) (void)sys::call(__NR_munmap, used, end - used);
    start = aligned;
  }
  image->bias = start - span.low;
  return {0};
}

}  // namespace

sys::SysResult inspect_program(int fd, ProgramFile* file) {
  alignas(8) char head[256];
  memset(head, 0, sizeof(head));
  file->fd = fd;
  file->is_elf64 = file->is_script = false;
  auto got = sys::call(__NR_pread64, static_cast<std::uint64_t>(fd), sys::address(head), sizeof(head), 0);
  if (!got.ok()) return got;
  if (got.value() > 2 && head[0] == '#' && head[1] == '!') {
    parse_script(head, got.value(), file);
    return {file->is_script ? 0 : -kENOEXEC};
  }
  auto* header = reinterpret_cast<const Elf64_Ehdr*>(head);
  if (got.value() < sizeof(*header) || !good_header(*header)) return {-kENOEXEC};
  file->is_elf64 = true;
  file->position_independent = header->e_type == ET_DYN;
  return {0};
}

sys::SysResult interpreter_of(int fd, char* out, std::uint64_t room) {
  Elf64_Ehdr header;
  Elf64_Phdr segment;
  out[0] = 0;
  auto got = read_at(fd, &header, sizeof(header), 0);
  for (int i = 0; got.ok() && i < header.e_phnum; ++i) {
    got = read_at(fd, &segment, sizeof(segment), header.e_phoff + static_cast<std::uint64_t>(i) * sizeof(segment));
    if (!got.ok() || segment.p_type != PT_INTERP) continue;
    if (segment.p_filesz < 2 || segment.p_filesz > room) return {-kENOEXEC};
    got = read_at(fd, out, segment.p_filesz, segment.p_offset);
    if (got.ok() && out[segment.p_filesz - 1] != 0) return {-kENOEXEC};
    break;
  }
  return got;
}

sys::SysResult load_image(int fd, bool is_interpreter, LoadedImage* image) {
  Elf64_Ehdr header;
  static Elf64_Phdr segments[kMaxSegments];
  memset(image, 0, sizeof(*image));
  auto got = read_at(fd, &header, sizeof(header), 0);
  if (!got.ok()) return got;
  if (!good_header(header)) return {-kENOEXEC};
  got = read_at(fd, segments, header.e_phnum * sizeof(Elf64_Phdr), header.e_phoff);
  if (!got.ok()) return got;
  image->position_independent = header.e_type == ET_DYN;
  Span span = extent(segments, header.e_phnum);
  if (span.high == 0) return {-kENOEXEC};
  if (image->position_independent) {
    auto placed = place(span, is_interpreter, image);
    if (!placed.ok()) return placed;
  } else {
    auto at = sys::call(__NR_mmap, span.low, span.high - span.low, 0,
                        kMapPrivate | kMapAnonymous | kMapFixedNoreplace, static_cast<std::uint64_t>(-1), 0);
    if (!at.ok()) return at;
  }
  for (int i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr& s = segments[i];
    if (s.p_type == PT_GNU_STACK) image->executable_stack = (s.p_flags & PF_X) != 0;
    if (s.p_type == PT_INTERP && s.p_filesz > 1 && s.p_filesz <= sizeof(image->interpreter)) {
      got = read_at(fd, image->interpreter, s.p_filesz, s.p_offset);
      if (!got.ok()) return got;
    }
    if (s.p_type != PT_LOAD) continue;
    auto mapped = map_segment(fd, s, image->bias);
    if (!mapped.ok()) return mapped;
    note_bounds(s, image);
    if (header.e_phoff >= s.p_offset && header.e_phoff < s.p_offset + s.p_filesz)
      image->program_headers = image->bias + s.p_vaddr + (header.e_phoff - s.p_offset);
  }
  image->entry = image->bias + header.e_entry;
  image->program_header_count = header.e_phnum;
  for (int i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr& s = segments[i];
    if (s.p_type == PT_LOAD && (s.p_flags & PF_X) != 0)
      text_mapped(fd, page_down(image->bias + s.p_vaddr),
                  page_up(image->bias + s.p_vaddr + s.p_filesz), page_down(s.p_offset),
                  static_cast<int>(protection(s.p_flags)));
  }
  return {0};
}

}  // namespace cairn::runtime
