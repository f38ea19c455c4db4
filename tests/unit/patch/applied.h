#pragma once
// A plan applied to text in this process, with the fake entry behind it, and undone at the end.

#include <sys/mman.h>

#include "abi/stub_block.h"
#include "patch_fixture.h"
#include "runtime/intercept/patcher.h"
#include "runtime/intercept/site_map.h"

extern "C" {
void fake_entry();
extern unsigned long fake_entry_calls;
extern std::uint64_t fake_entry_return;
}

namespace cairn::patch {

inline Range text_of(const ElfFile& file, std::uint64_t bias) {
  for (const auto& segment : file.segments())
    if (segment.executable) {
      const std::uint64_t start = segment.range.start & ~0xfffULL;
      return {bias + start, bias + ((segment.range.end + 0xfff) & ~0xfffULL)};
    }
  return {};
}

class Applied {
 public:
  Applied(const std::vector<std::uint8_t>& plan, std::uint64_t bias, Range text)
      : text_(text),
        result_(runtime::apply_plan(reinterpret_cast<const abi::PlanHeader*>(plan.data()),
                                    plan.size(), bias, text.start, text.end, PROT_READ | PROT_EXEC,
                                    &info_, runtime::Trampolines::kPatch)) {
    if (info_.bytes == 0) return;
    ::mprotect(block(), info_.bytes, PROT_READ | PROT_WRITE);
    header()->entry = reinterpret_cast<std::uint64_t>(&fake_entry);
    ::mprotect(block(), info_.bytes, PROT_READ | PROT_EXEC);
    EXPECT_TRUE(runtime::register_block(info_.address).ok());
  }
  Applied(const Applied&) = delete;
  Applied& operator=(const Applied&) = delete;
  ~Applied() {
    runtime::OrphanedBlock orphan;
    std::uint32_t count = 0;
    EXPECT_FALSE(runtime::forget_text(text_.start, text_.end, &orphan, 1, &count));
    if (info_.bytes == 0) return;
    EXPECT_EQ(count, 1U);
    EXPECT_EQ(orphan.address, info_.address);
    ::munmap(block(), info_.bytes);
  }

  [[nodiscard]] sys::SysResult result() const { return result_; }
  [[nodiscard]] const runtime::StubBlockInfo& info() const { return info_; }
  [[nodiscard]] abi::StubBlockHeader* header() const {
    return static_cast<abi::StubBlockHeader*>(block());
  }
  [[nodiscard]] std::span<const abi::StubSite> sites() const {
    return {reinterpret_cast<const abi::StubSite*>(header() + 1), header()->sites};
  }
  [[nodiscard]] const std::uint8_t* code(std::uint32_t offset) const {
    return reinterpret_cast<const std::uint8_t*>(info_.address + offset);
  }
  [[nodiscard]] Range text() const { return text_; }

 private:
  [[nodiscard]] void* block() const { return reinterpret_cast<void*>(info_.address); }

  Range text_;
  runtime::StubBlockInfo info_;
  sys::SysResult result_;
};

}  // namespace cairn::patch
