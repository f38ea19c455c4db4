#pragma once
// The library of patterns, loaded, its plan, and the sites by function name.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>

#include <optional>
#include <string>
#include <vector>

#include "patch/planner.h"

namespace cairn::patch {

inline Plan plan_of(const std::string& path) {
  auto plan = make_plan(path);
  EXPECT_TRUE(plan) << plan.error().message();
  return plan ? *plan : Plan{};
}

// A copy of the library in this process, unloaded at the end: patches do not outlive a test.
class LoadedLibrary {
 public:
  explicit LoadedLibrary(const char* path) : handle_(::dlmopen(LM_ID_NEWLM, path, RTLD_NOW)) {
    EXPECT_NE(handle_, nullptr) << ::dlerror();
    link_map* map = nullptr;
    ::dlinfo(handle_, RTLD_DI_LINKMAP, &map);
    bias_ = map->l_addr;
  }
  LoadedLibrary(const LoadedLibrary&) = delete;
  LoadedLibrary& operator=(const LoadedLibrary&) = delete;
  ~LoadedLibrary() { ::dlclose(handle_); }

  [[nodiscard]] std::uint64_t bias() const { return bias_; }
  [[nodiscard]] std::uint64_t address(const char* name) const {
    void* found = ::dlsym(handle_, name);
    EXPECT_NE(found, nullptr) << name;
    return reinterpret_cast<std::uint64_t>(found);
  }
  template <class... Args>
  long call(const char* name, Args... args) const {
    return reinterpret_cast<long (*)(...)>(address(name))(static_cast<long>(args)...);
  }
  // Linked addresses of the function's bytes.
  [[nodiscard]] Range function(const char* name) const {
    Dl_info info{};
    ElfW(Sym)* symbol = nullptr;
    const std::uint64_t start = address(name);
    ::dladdr1(reinterpret_cast<void*>(start), &info, reinterpret_cast<void**>(&symbol),
              RTLD_DL_SYMENT);
    EXPECT_NE(symbol, nullptr) << name;
    return {start - bias_, start - bias_ + symbol->st_size};
  }

 private:
  void* handle_;
  std::uint64_t bias_ = 0;
};

inline std::vector<abi::PlanSite> sites_in(const Plan& plan, Range range) {
  std::vector<abi::PlanSite> found;
  for (const auto& site : plan.sites)
    if (range.contains(site.syscall_vaddr)) found.push_back(site);
  return found;
}

inline std::vector<RefusedSite> refused_in(const Plan& plan, Range range) {
  std::vector<RefusedSite> found;
  for (const auto& site : plan.refused)
    if (range.contains(site.syscall_vaddr)) found.push_back(site);
  return found;
}

inline std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string text;
  char buffer[4];
  for (std::size_t i = 0; i < count; ++i) {
    std::snprintf(buffer, sizeof buffer, "%02x", bytes[i]);
    text += (i == 0 ? "" : " ") + std::string(buffer);
  }
  return text;
}

}  // namespace cairn::patch
